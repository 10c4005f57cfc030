/* SPDX-License-Identifier: BSD-2-Clause */
/* What this process has and uses, as the kernel counts it. */
#ifndef WEIR_TEST_PROCESS_H
#define WEIR_TEST_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* Open descriptors, and threads; -1 if they cannot be counted. */
int test_descriptors(void);
int test_thread_count(void);

/* Bytes of memory that are resident; 0 if that cannot be read. */
size_t test_resident_bytes(void);

/* Seconds of CPU that all threads, also those that have ended, have used. */
double test_cpu_seconds(void);

/*
 * For how long the calling thread has been ready to run and had no processor, since it began; 0
 * where the kernel does not tell. What a wait is late by without this is nobody's fault but its
 * own.
 */
int64_t test_ready_ns(void);

#endif
