/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP servers of tests/support/patroni_api, as seen from a test in C: one set a program, one
 * thread. What fails here ends the program, with words.
 */
#ifndef WEIR_TEST_API_H
#define WEIR_TEST_API_H

#include <weir/export.h>

#define API_SERVERS 3

/* tls: a directory for their certificate, cert.pem; NULL: none. */
void test_api_start(const char *tls);
void test_api_stop(void);

/* An order in the words of patroni_api. */
void test_api_tell(const char *format, ...) WEIR_PRINTF(1, 2);

/* The answer to the last order, until the next. */
const char *test_api_answer(void);

/* How often server i was asked. */
int test_api_hits(int i);
int test_api_port(int i);

#endif
