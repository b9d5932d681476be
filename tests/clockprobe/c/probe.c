/* A C program whose clocks are skewed from outside while it runs; see ../main.go for the same in Go. What it adds: signal
 * handlers on stacks of both kinds, and the calls that waits in other languages come to.
 *
 *   probe hammer OFFSET_MS...   many threads read clocks until stdin ends, interrupted by signals all the time
 *   probe handler ALT           a handler, on a stack of its own if ALT is 1, interrupts the vDSO once and stays for
 *                               300 ms; says "inside" and "left"
 *   probe waits                 as in ../main.go; processor time is of each way alone
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define THREADS 8

static int64_t ns_of(struct timespec at) { return at.tv_sec * SECOND + at.tv_nsec; }
static struct timespec at_ns(int64_t ns) { return (struct timespec){ns / SECOND, ns % SECOND}; }

static int64_t true_time(int clock)
{
    struct timespec at;
    syscall(SYS_clock_gettime, clock, &at);
    return ns_of(at);
}

static int64_t shown(int clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return ns_of(at);
}

static void wrong(const char *what, int clock, int64_t by)
{
    printf("wrong: clock %d %s %lld ns\n", clock, what, (long long)by);
    fflush(stdout);
    _exit(1);
}

/* hammer */

static int64_t offsets[16];
static int offset_count;
static atomic_llong latest[12], readings, handled;
static pthread_t threads[THREADS];

static void check_steady(int clock)
{
    int64_t seen = atomic_load(&latest[clock]), now = shown(clock);
    if (now < seen)
        wrong("went back by", clock, seen - now);
    long long old = seen;
    while (old < now && !atomic_compare_exchange_weak(&latest[clock], &old, now))
        ;
}

static void check_wall(int clock)
{
    int64_t before = true_time(clock), now = shown(clock), after = true_time(clock);
    for (int n = 0; n < offset_count; n++)
        if (before + offsets[n] <= now && now <= after + offsets[n])
            return;
    if (offset_count)
        wrong("is off by", clock, now - before);
}

static void on_urgent(int number)
{
    (void)number;
    check_steady(CLOCK_MONOTONIC);
    atomic_fetch_add(&handled, 1);
}

static void own_stack(void)
{
    stack_t stack = {.ss_sp = malloc(32768), .ss_size = 32768};
    sigaltstack(&stack, NULL);
}

static void *read_clocks(void *number)
{
    static const int steady[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
    static const int wall[] = {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI};
    if ((intptr_t)number % 2)
        own_stack();
    for (;;) {
        for (int n = 0; n < 4; n++)
            check_steady(steady[n]);
        for (int n = 0; n < 3; n++)
            check_wall(wall[n]);
        int64_t before = true_time(CLOCK_THREAD_CPUTIME_ID), cpu = shown(CLOCK_THREAD_CPUTIME_ID);
        if (cpu < before || cpu > true_time(CLOCK_THREAD_CPUTIME_ID))
            wrong("is off by", CLOCK_THREAD_CPUTIME_ID, cpu - before);
        atomic_fetch_add(&readings, 1);
    }
    return NULL;
}

static void *come_and_go(void *nothing)
{
    check_wall(CLOCK_REALTIME);
    return nothing;
}

static void *disturb(void *nothing)
{
    for (unsigned n = 0;; n++) {
        pthread_kill(threads[n % THREADS], SIGURG);
        if (n % 16 == 0) { /* threads are born and end meanwhile */
            pthread_t brief;
            if (pthread_create(&brief, NULL, come_and_go, NULL) == 0)
                pthread_detach(brief);
        }
        usleep(100);
    }
    return nothing;
}

static int hammer(int count, char **arguments)
{
    for (int n = 0; n < count && n < 16; n++)
        offsets[offset_count++] = atoll(arguments[n]) * 1000000;
    struct sigaction action = {.sa_handler = on_urgent, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigaction(SIGURG, &action, NULL);
    for (intptr_t n = 0; n < THREADS; n++)
        pthread_create(&threads[n], NULL, read_clocks, (void *)n);
    pthread_t disturber;
    pthread_create(&disturber, NULL, disturb, NULL);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    printf("%lld readings %lld in handlers\n", (long long)readings, (long long)handled);
    fflush(stdout);
    _exit(0);
}

/* handler */

static volatile sig_atomic_t caught;

static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    uintptr_t at = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP], low = getauxval(AT_SYSINFO_EHDR);
    if (caught || at < low || at >= low + 8192)
        return;
    caught = 1;
    (void)!write(1, "inside\n", 7);
    int64_t until = true_time(CLOCK_MONOTONIC) + SECOND * 3 / 10;
    while (true_time(CLOCK_MONOTONIC) < until)
        ;
    (void)!write(1, "left\n", 5);
}

static int handler(int alternative)
{
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_RESTART | SA_SIGINFO};
    if (alternative) {
        own_stack();
        action.sa_flags |= SA_ONSTACK;
    }
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 500}, {0, 500}};
    setitimer(ITIMER_REAL, &often, NULL);
    for (;;)
        shown(CLOCK_MONOTONIC);
    return 0;
}

/* waits */

static void relative_sleep(int64_t ns)
{
    struct timespec span = at_ns(ns);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
}

static void absolute_sleep(int64_t ns)
{
    struct timespec until = at_ns(shown(CLOCK_MONOTONIC) + ns);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* What Condvar::wait_timeout of Rust and condition_variable::wait_for of C++ come to. */
static void condition(int64_t ns, int until_true)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    int64_t deadline = shown(CLOCK_MONOTONIC) + ns;
    struct timespec until = at_ns(deadline);
    pthread_mutex_lock(&mutex);
    do
        pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &until);
    while (until_true && shown(CLOCK_MONOTONIC) < deadline);
}

static void condition_once(int64_t ns) { condition(ns, 0); }
static void condition_loop(int64_t ns) { condition(ns, 1); }

static void epoll_once(int64_t ns)
{
    struct epoll_event event;
    epoll_wait(epoll_create1(0), &event, 1, (int)(ns / 1000000));
}

/* An event loop: it wakes up, reckons what is left, and waits again. */
static void epoll_loop(int64_t ns)
{
    struct epoll_event event;
    int epoll = epoll_create1(0);
    int64_t deadline = shown(CLOCK_MONOTONIC) + ns, left;
    while ((left = deadline - shown(CLOCK_MONOTONIC)) > 0)
        epoll_wait(epoll, &event, 1, (int)((left + 999999) / 1000000));
}

static void timer_file(int64_t ns)
{
    int64_t expired;
    struct itimerspec when = {.it_value = at_ns(shown(CLOCK_MONOTONIC) + ns)};
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
    (void)!read(timer, &expired, sizeof expired);
}

static struct way {
    const char *name;
    void (*wait)(int64_t);
    int64_t ns, took, used;
} ways[] = {
    {.name = "nanosleep, relative", .wait = relative_sleep},
    {.name = "clock_nanosleep, absolute", .wait = absolute_sleep},
    {.name = "condition variable, absolute", .wait = condition_once},
    {.name = "condition variable, until it is time", .wait = condition_loop},
    {.name = "epoll_wait, relative", .wait = epoll_once},
    {.name = "epoll_wait, until it is time", .wait = epoll_loop},
    {.name = "timerfd, absolute", .wait = timer_file},
};
#define WAYS (int)(sizeof ways / sizeof *ways)

static void *wait_one_way(void *argument)
{
    struct way *way = argument;
    int64_t used = true_time(CLOCK_THREAD_CPUTIME_ID), start = true_time(CLOCK_MONOTONIC);
    way->wait(way->ns);
    way->took = true_time(CLOCK_MONOTONIC) - start;
    way->used = true_time(CLOCK_THREAD_CPUTIME_ID) - used;
    return NULL;
}

static int waits(void)
{
    char line[32];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        pthread_t each[WAYS];
        for (int n = 0; n < WAYS; n++) {
            ways[n].ns = atoll(line) * 1000000;
            pthread_create(&each[n], NULL, wait_one_way, &ways[n]);
        }
        for (int n = 0; n < WAYS; n++)
            pthread_join(each[n], NULL);
        for (int n = 0; n < WAYS; n++)
            printf("%s\t%lld\t%lld\n", ways[n].name, (long long)ways[n].took / 1000000, (long long)ways[n].used / 1000000);
        puts("done");
        fflush(stdout);
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "hammer") == 0)
        return hammer(count - 2, arguments + 2);
    if (count == 3 && strcmp(arguments[1], "handler") == 0)
        return handler(atoi(arguments[2]));
    if (count == 2 && strcmp(arguments[1], "waits") == 0)
        return waits();
    fprintf(stderr, "usage: probe hammer OFFSET_MS... | probe handler ALT | probe waits\n");
    return 2;
}
