/* SPDX-License-Identifier: BSD-2-Clause */
/* The same program as C++17: what compiles as C must compile and link from C++ as well. */
#include "consumer.c"
