#!/usr/bin/env python3
"""The process group for real: ranks on this machine, over Gloo, with and without torchrun.

    torchrun_test.py PROBE [TORCHRUN]      PROBE: the dist_probe binary; TORCHRUN: skipped with a note when not given
"""

import os
import re
import socket
import subprocess
import sys
import time

DEADLINE_S = 5
FAILURES = []


def check(condition, what):
    print(("ok    " if condition else "WRONG ") + what, flush=True)
    if not condition:
        FAILURES.append(what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(probe, world, arguments, **extra):
    """Ranks without a launcher, as a Slurm wrapper would start them; rank 0 serves the rendezvous."""
    port = free_port()
    for rank in range(world):
        env = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank),
               "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
               "ROLLMILL_TIMEOUT": str(DEADLINE_S), **extra}
        yield subprocess.Popen([probe, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(processes):
    results = [(p.communicate(timeout=60)[0], p.returncode) for p in processes]
    return [text for text, _ in results], [code for _, code in results]


def plain(probe):
    for world in (2, 3):
        texts, codes = finish(list(start(probe, world, ["sums"])))
        check(codes == [0] * world, f"{world} ranks: sums in rank order, gathers, barriers {texts if any(codes) else ''}")


def dying(probe):
    for world, victim in ((2, 1), (3, 2), (3, 0)):
        began = time.monotonic()
        texts, codes = finish(list(start(probe, world, ["die", str(victim)])))
        took = time.monotonic() - began
        others = [r for r in range(world) if r != victim]
        check(codes[victim] == -9 and all(codes[r] == 5 for r in others),
              f"{world} ranks, rank {victim} killed: the others exit 5 {codes}")
        check(took < 3 * DEADLINE_S, f"  within the deadline and the grace period ({took:.1f} s)")
        for r in others:
            check(texts[r].count("\n") == 1, f"  rank {r} says it in one line")
            line = texts[r].strip()
            named = f"rank {r} of {world}" in line and '"order"' in line and f"deadline {DEADLINE_S} s" in line
            # Where rank 0 has left before, nobody can say any more who was first.
            gone = "rendezvous" in line and (victim == 0 or r > 0)
            blamed = gone or (victim != 0 and f"rank {victim} lost or late" in line)
            check(named and blamed, f"  names rank, collective, deadline and culprit: {line}")


def late(probe):
    texts, codes = finish(list(start(probe, 2, ["late", "1", "12"])))
    check(codes[0] == 5 and "rank 1 lost or late" in texts[0], f"a late rank ends the call at the deadline: {texts[0].strip()}")
    check(codes[1] == 5 and texts[1].count("\n") == 1, f"  and the late rank fails, too, when it wakes: {texts[1].strip()}")


def rendezvous(probe):
    processes = list(start(probe, 2, ["sums"]))
    processes[1].kill()  # before it can join, most likely: starting takes longer than this
    texts, codes = finish(processes)
    check(codes[0] == 5 and re.search(r"rank 1 did not join|rank 1 lost", texts[0]),
          f"a rank that never comes is named: {texts[0].strip()}")
    processes = list(start(probe, 2, ["sums"], MASTER_ADDR="no-such-host.invalid",
                           RES_OPTIONS="timeout:1 attempts:1"))  # (where the name server does not answer)
    texts, codes = finish(processes)
    check(codes == [5, 5] and all("no-such-host.invalid:" in t and t.count("\n") == 1 for t in texts), f"a wrong address is named: {texts[1].strip()}")


def under_torchrun(probe, torchrun):
    for world in (2, 3):
        done = subprocess.run([torchrun, "--standalone", "--no-python", "--nproc-per-node", str(world), probe, "sums"],
                              capture_output=True, text=True, timeout=120)
        check(done.returncode == 0, f"torchrun, {world} ranks {done.stdout + done.stderr if done.returncode else ''}")
    # One rank is killed; with a restart allowed the second attempt must not trip over the first one's keys.
    done = subprocess.run([torchrun, "--standalone", "--no-python", "--nproc-per-node", "2", "--max-restarts", "1", probe,
                           "die", "1"], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "ROLLMILL_TIMEOUT": str(DEADLINE_S)})
    check(done.returncode != 0, "torchrun, a rank killed twice: the job fails")
    check("did not join" not in done.stdout, "  and the restarted attempt found all its ranks")


def main():
    probe = os.path.abspath(sys.argv[1])
    plain(probe)
    dying(probe)
    late(probe)
    rendezvous(probe)
    if len(sys.argv) > 2:
        under_torchrun(probe, sys.argv[2])
    else:
        print("note: torchrun not given; that part is not tested")
    print(f"{len(FAILURES)} wrong")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
