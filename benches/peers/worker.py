"""The PyTorch side of `just bench-peers`: one JSON request a line on standard input, one reply a line on standard output.

`{"prepare": job}` builds what the job asks for; `"run"` runs it once and says how long it took. The job, its sizes and its
inputs come from the Rust side (benches/src/peers).
"""

import json
import sys
import time

import memory


def main():
    replies = sys.stdout
    sys.stdout = sys.stderr  # Whatever a library prints is no reply.
    run, peak = None, memory.peak
    for line in sys.stdin:
        request = json.loads(line)
        if request == "run":
            memory.reset_peak()
            start, cpu = time.perf_counter(), memory.cpu()
            outcome = run()
            seconds = time.perf_counter() - start
            cpu = memory.cpu() - cpu
            reply = {"seconds": seconds, "cpu": cpu, "peak": peak(), "outcome": outcome}
        else:
            run, reply = prepare(request["prepare"])
            # Libraries run small programs of their own, which do not count.
            whole = request["prepare"]["work"]["kind"] == "program"
            peak = memory.peak_of_programs if whole else memory.peak
        print(json.dumps(reply), file=replies, flush=True)


def prepare(job):
    import work

    base = memory.resident()
    ready = work.prepare(job)
    versions = work.versions()
    return ready.run, {"base": base, "weights": ready.weights, "versions": versions}


if __name__ == "__main__":
    main()
