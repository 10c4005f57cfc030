/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child process that answers: one line to it, one line back, through a socket that is its
 * standard input and output. Every wait has an end. When this process ends, however it ends, the
 * child reads the end of its input.
 */
#ifndef WEIR_TEST_COPROCESS_H
#define WEIR_TEST_COPROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct test_coprocess {
	pid_t child;
	int socket;
	int answer_ms; /* how long one answer may take */
	char *answer;  /* the last line that came, with its end; NULL before the first */
	size_t length, room;
	char error[2048]; /* why the last call failed */
};

/*
 * Starts a program; words are its arguments, ended by NULL, the first its name. fini also after a
 * failure.
 */
bool test_coprocess_init(struct test_coprocess *co, const char *path, char *const *words,
                         int answer_ms);

/* Sends part of a line, or all of it. */
bool test_coprocess_tell(struct test_coprocess *co, const char *text);

/* Waits for one line. */
bool test_coprocess_hear(struct test_coprocess *co);

/*
 * Ends the child's input, waits until it has ended (or kills it when it does not), and frees what
 * init and hear took. True if it ended by itself with status 0.
 */
bool test_coprocess_fini(struct test_coprocess *co);

/* Sets co->error, and is always false. */
__attribute__((format(printf, 2, 3))) bool test_coprocess_fail(struct test_coprocess *co,
                                                               const char *format, ...);

#endif
