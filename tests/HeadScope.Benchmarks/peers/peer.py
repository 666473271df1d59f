"""What every peer shares: says what it runs on, then reads requests "[cpu] REPETITIONS WORK ARGUMENTS..." and answers
each with the seconds (with "cpu": the processor seconds) of one repetition. A work is a function of its (text) arguments
that returns the function to time."""

import sys
import time


def serve(description, **works):
    print(description, flush=True)
    prepared = {}
    for line in sys.stdin:
        words = line.split()
        clock = time.perf_counter
        if words[0] == "cpu":
            clock = time.process_time
            del words[0]
        repetitions, name, *arguments = words
        key = (name, *arguments)
        if key not in prepared:
            prepared.clear()
            prepared[key] = works[name](*arguments)
        run = prepared[key]
        start = clock()
        for _ in range(int(repetitions)):
            run()
        print((clock() - start) / int(repetitions), flush=True)


def blas():
    """The name of the BLAS library in this process and the processor it was built or chosen for."""
    import ctypes

    with open("/proc/self/maps") as maps:
        names = {line.split()[-1] for line in maps if "openblas" in line and ".so" in line}
    for name in names:
        library = ctypes.CDLL(name)
        try:
            library.openblas_get_config.restype = ctypes.c_char_p
            library.openblas_get_corename.restype = ctypes.c_char_p
            return f"{library.openblas_get_config().decode().strip()} ({library.openblas_get_corename().decode()})"
        except AttributeError:
            continue
    return "an unknown BLAS"
