/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sandbox as services put around themselves: a filter (seccomp) that makes system calls fail.
 * Raw, without a library. What is forbidden stays so for the life of the thread, or of the process:
 * for children.
 */
#ifndef WEIR_TEST_SANDBOX_H
#define WEIR_TEST_SANDBOX_H

#include <stdbool.h>

/*
 * From now on this call fails with this error, in the calling thread and in those that it starts;
 * if all_threads, in every thread of the process. false: no filter can be put up here (errno).
 */
bool test_forbid(long call, int error, bool all_threads);

/*
 * The same for sleeping on a futex until a time of CLOCK_REALTIME, which steps. In the calling
 * thread and those that it starts.
 */
bool test_forbid_stepping_waits(int error);

#endif
