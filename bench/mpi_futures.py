# SPDX-License-Identifier: BSD-3-Clause
"""The uniform and lognormal cells of bench/mpi by mpi4py.futures, whose rank 0 hands out and does not compute.

    mpirun -n RANKS python3 -m mpi4py.futures bench/mpi_futures.py [--rounds N] [--seconds S] [--kind KIND] \\
        [--cell TEXT]

For each cell: map() as it is, and with the best of several chunk sizes. Efficiency is, as there, what the
elements took themselves, divided by the ranks and by the time of the map. Python's own loop computes, with
a step calibrated in Python: a cell's elements cost the same as there, not their results.
"""
import argparse
import ctypes
import math
import os
import random
import statistics
import sys
import time

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

CHUNKS = (4, 16, 64, 256)
PR_SET_TIMERSLACK = 29

# Sleeps end when they should: in each process, workers too.
ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)


def sleeping(cost):
    """An element that sleeps; returns its argument and what it took."""
    start = time.perf_counter()
    time.sleep(cost)
    return cost, time.perf_counter() - start


def chain(steps):
    x = 1
    for _ in range(steps):
        x = x * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
    return x


def computing(steps):
    """An element that computes; returns its result and the CPU time that it took."""
    start = time.thread_time()
    result = chain(steps)
    return result, time.thread_time() - start


def step_seconds():
    """The least of many short trials."""
    times = []
    for _ in range(500):
        start = time.perf_counter()
        chain(2000)
        times.append(time.perf_counter() - start)
    return min(times) / 2000


def costs_of(shape, mean, count):
    draw = random.Random(1)
    weights = [1.0 if shape == "uniform" else draw.lognormvariate(0, 1) for _ in range(count)]
    return [weight * mean * count / sum(weights) for weight in weights]


def turn(pool, function, inputs, expected, chunk):
    """One map: its time and what its elements took."""
    start = time.perf_counter()
    answers = list(pool.map(function, inputs, chunksize=chunk))
    seconds = time.perf_counter() - start
    if [value for value, _ in answers] != expected:
        sys.exit(f"mpi_futures: the results with chunk size {chunk} are wrong")
    return seconds, sum(spent for _, spent in answers)


def measure(pool, function, inputs, ranks, rounds):
    """(median seconds, efficiency, chunk) of each chunk size; they take turns in rounds."""
    expected = inputs if function is sleeping else [chain(steps) for steps in inputs]
    chunks = [1] + [chunk for chunk in CHUNKS if chunk * ranks <= len(inputs)]
    turns = {chunk: [] for chunk in chunks}
    for _ in range(rounds):
        for chunk in chunks:
            turns[chunk].append(turn(pool, function, inputs, expected, chunk))
    workers = ranks if function is sleeping else min(ranks, os.cpu_count())
    return [(statistics.median(seconds for seconds, _ in times),
             statistics.median(spent / workers / seconds for seconds, spent in times), chunk)
            for chunk, times in turns.items()]


def report(title, count, ranks, results):
    print(f"{title}: {count} elements on {ranks} ranks")
    print(f"  {'':20} {'seconds':>8} {'us/element':>11} {'efficiency':>11}")
    for name, (seconds, efficiency, chunk) in (("default", results[0]), ("tuned", min(results))):
        print(f"  mpi4py, {name:12} {seconds:8.4f} {1e6 * seconds / count:11.1f} {efficiency:11.3f}"
              f"  chunk {chunk}", flush=True)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--cell", default="", help="the cells whose title contains this")
    parser.add_argument("--kind", choices=("sleep", "compute"))
    return parser.parse_args()


def cells(options):
    """(kind, mean cost, shape, title) of each cell that is wanted."""
    for kind in [options.kind] if options.kind else ["sleep", "compute"]:
        for mean in (1e-3, 1e-4):
            for shape in ("uniform", "lognormal"):
                title = f"{kind} {1e3 * mean:g} ms, {shape}, root-owned"
                if options.cell in title:
                    yield kind, mean, shape, title


def main():
    options = arguments()
    ranks = MPI.COMM_WORLD.Get_size()
    step = step_seconds()
    efficiencies = {"default": [], "tuned": []}
    with MPIPoolExecutor() as pool:
        for kind, mean, shape, title in cells(options):
            count = int(options.seconds * ranks / mean)
            inputs = costs_of(shape, mean, count)
            if kind == "compute":
                inputs = [round(cost / step) for cost in inputs]
            function = sleeping if kind == "sleep" else computing
            results = measure(pool, function, inputs, ranks, options.rounds)
            report(title, count, ranks, results)
            efficiencies["default"].append(results[0][1])
            efficiencies["tuned"].append(min(results)[1])
    for name, values in efficiencies.items():
        if values:
            mean = math.exp(statistics.fmean(math.log(value) for value in values))
            print(f"  efficiency of mpi4py, {name:8} {mean:6.3f} (geometric mean of {len(values)} cells)")


if __name__ == "__main__":
    main()
