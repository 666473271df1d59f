"""The matrix product of NumPy, which is that of the BLAS library it is linked with."""

import numpy

import peer


def product(m, k, n, transposed):
    random = numpy.random.default_rng(1)
    m, k, n = int(m), int(k), int(n)
    a = random.random((m, k), dtype=numpy.float32) - 0.5
    b = random.random((n, k) if transposed == "1" else (k, n), dtype=numpy.float32) - 0.5
    if transposed == "1":
        b = b.T
    c = numpy.empty((m, n), dtype=numpy.float32)
    return lambda: numpy.matmul(a, b, out=c)


peer.serve(f"NumPy {numpy.__version__}, {peer.blas()}", product=product)
