// clockprobe is a Go program whose clocks are skewed from outside while it runs.
//
//	clockprobe hammer OFFSET_MS...   reads clocks in many goroutines until stdin ends, and judges every reading
//	clockprobe waits                 for each line MS on stdin: waits that long in every way Go has, and says how long
//	                                 that took in true time (ms), and what processor time (ms)
//
// True time comes from system calls made directly, which no skew of the vDSO reaches.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	realtime  = 0
	monotonic = 1
	cpu       = 2
)

func trueTime(clock uintptr) int64 {
	var at syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0)
	return at.Nano()
}

func main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "hammer":
		hammer(os.Args[2:])
	case len(os.Args) == 2 && os.Args[1] == "waits":
		waits()
	default:
		fmt.Fprintln(os.Stderr, "usage: clockprobe hammer OFFSET_MS... | clockprobe waits")
		os.Exit(2)
	}
}

func wrong(format string, arguments ...any) {
	fmt.Printf("wrong: "+format+"\n", arguments...)
	os.Exit(1)
}

// hammer ends the process with 1 if a wall clock shows a time that none of the offsets explains, or if the monotonic
// clock goes back, as seen by all goroutines together.
func hammer(arguments []string) {
	var offsets []int64
	for _, argument := range arguments {
		ms, err := strconv.ParseInt(argument, 10, 64)
		if err != nil {
			wrong("%v", err)
		}
		offsets = append(offsets, ms*int64(time.Millisecond))
	}
	start := time.Now()
	var latest, readings atomic.Int64
	for n := 0; n < 16; n++ {
		go func() {
			for {
				seen := latest.Load()
				shown := int64(time.Since(start))
				if shown < seen {
					wrong("the monotonic clock went back by %d ns", seen-shown)
				}
				for old := latest.Load(); old < shown && !latest.CompareAndSwap(old, shown); old = latest.Load() {
				}
				before, wall, after := trueTime(realtime), time.Now().UnixNano(), trueTime(realtime)
				if len(offsets) > 0 && !explained(offsets, before, wall, after) {
					wrong("the wall clock was %d ns off", wall-before)
				}
				readings.Add(1)
			}
		}()
	}
	collect := time.NewTicker(5 * time.Millisecond) // stops the world, and so interrupts the goroutines
	go func() {
		for range collect.C {
			runtime.GC()
		}
	}()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	fmt.Printf("%d readings\n", readings.Load())
}

func explained(offsets []int64, before, wall, after int64) bool {
	for _, offset := range offsets {
		if before+offset <= wall && wall <= after+offset {
			return true
		}
	}
	return false
}

var ways = []struct {
	name string
	wait func(time.Duration)
}{
	{"time.Sleep", time.Sleep},
	{"time.Ticker", func(d time.Duration) {
		ticker := time.NewTicker(d / 10)
		defer ticker.Stop()
		for n := 0; n < 10; n++ {
			<-ticker.C
		}
	}},
	{"context.WithTimeout", func(d time.Duration) {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		<-ctx.Done()
	}},
	{"net.Conn.SetReadDeadline", func(d time.Duration) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			wrong("%v", err)
		}
		defer listener.Close()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			wrong("%v", err)
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(d))
		conn.Read(make([]byte, 1))
	}},
}

func waits() {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ms, err := strconv.Atoi(lines.Text())
		if err != nil {
			wrong("%v", err)
		}
		var all sync.WaitGroup
		used := trueTime(cpu)
		took := make([]int64, len(ways))
		for n, way := range ways {
			all.Add(1)
			go func(n int, wait func(time.Duration)) {
				defer all.Done()
				start := trueTime(monotonic)
				wait(time.Duration(ms) * time.Millisecond)
				took[n] = trueTime(monotonic) - start
			}(n, way.wait)
		}
		all.Wait()
		used = trueTime(cpu) - used // of all together: a goroutine has no clock of its own
		for n, way := range ways {
			fmt.Printf("%s\t%d\t%d\n", way.name, took[n]/1e6, used/1e6)
		}
		fmt.Println("done")
	}
}
