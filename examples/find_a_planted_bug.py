"""Run the bank on a simulated cluster that has a planted bug, and print the verdict.

python examples/find_a_planted_bug.py [FOLDER_FOR_RUNS]
"""

import sys

import quorumquake as qq


def main() -> int:
    """Run, print, and return the exit code: 1, an anomaly was found."""
    spec = qq.make_spec(
        "bank",
        bug="skip-write-conflict",
        nemesis="partition,kill",
        time_limit="20s",
        seed=7,
        out=sys.argv[1] if len(sys.argv) > 1 else "runs",
        workload_options={"accounts": 4},
    )
    finished = qq.run(qq.plan_run(spec))
    print(f"valid: {finished.results.valid}")
    for verdict in finished.results.verdicts:
        print(f"{verdict.checker}: {verdict.valid} {verdict.counts or ''}")
    for anomaly in finished.results.anomalies()[:1]:
        print(anomaly.explanation)
    print(f"report: {finished.folder.report}")
    return finished.code


if __name__ == "__main__":
    sys.exit(main())
