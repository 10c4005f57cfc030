/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small text for people: numbers read and written, near names, colours, memory that is always
 * there.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Zeroed memory; ends the process with a message if there is none (a command has nothing better to
 * do).
 */
void *cli_alloc(size_t count, size_t size);

/* The same for growing; the new part is not zeroed. */
void *cli_grow(void *memory, size_t count, size_t size);

/* Copies with a bound, always terminated. */
void cli_copy(char *to, size_t room, const char *from);

/* A whole number from text, decimal, nothing before or after. */
bool cli_parse_int(const char *text, int64_t *value);

/* A number with an optional fraction, not negative: "10", "0.5". */
bool cli_parse_real(const char *text, double *value);

/* Seconds with an optional fraction of up to nine digits, as nanoseconds: "10", "0.5". */
bool cli_parse_seconds(const char *text, int64_t *ns);

/* Whether text may be a connection string, which must not be shown: it may hold a password. */
bool cli_looks_secret(const char *text);

/* The name in names[] (up to NULL) that was probably meant, or NULL. */
const char *cli_nearest(const char *name, const char *const names[]);

#define CLI_SHORT 32 /* room for what the next three write */

/* A duration to three digits: "812 ns", "1.25 us", "30 s". */
const char *cli_duration(char text[CLI_SHORT], int64_t ns);

#define CLI_FLAG 64 /* room for an option with its dashes and what its value is called */

/*
 * Writes text folded at spaces so that no line has more than `width` columns where that can be, all
 * but the first indented, and ends the line. A line that begins with a space is kept as it is.
 */
void cli_fold(FILE *out, const char *text, size_t indent, size_t width);
void cli_fold_part(FILE *out, const char *text, size_t len, size_t indent, size_t width);

/* How long the paragraph at text is: up to an empty line or the end. */
size_t cli_paragraph(const char *text);

/* A setting in milliseconds: "none" for 0, "unknown" below, else "250 ms", "30 s", "5 min". */
const char *cli_setting(char text[CLI_SHORT], int64_t ms);

/* Bytes to three digits: "312 B", "1.5 MiB". */
const char *cli_bytes(char text[CLI_SHORT], int64_t bytes);

enum cli_tint { CLI_PLAIN, CLI_STRONG, CLI_FAINT, CLI_GOOD, CLI_WARN, CLI_BAD };

/* Whether this stream shows colours: a terminal, and NO_COLOR is unset or empty. */
bool cli_colours(FILE *out);

/* Writes text in a colour, or plain where there are none. */
void cli_paint(FILE *out, enum cli_tint tint, const char *text);

#endif
