/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes in a row, and PostgreSQL's messages made of them: for the mock server. */
#ifndef WEIR_TEST_MOCK_WIRE_H
#define WEIR_TEST_MOCK_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* Grows as it needs; owns its memory. */
struct mock_bytes {
	char *at;
	size_t len, room;
};

void mock_add(struct mock_bytes *b, const void *bytes, size_t n);
void mock_add_text(struct mock_bytes *b, const char *text); /* with its end */
void mock_add_int(struct mock_bytes *b, uint32_t value, int bytes);
void mock_drop_front(struct mock_bytes *b, size_t n);
void mock_bytes_free(struct mock_bytes *b);

/* A message from its type to its end; end fills in the length. */
size_t mock_begin(struct mock_bytes *b, char type);
void mock_finish(struct mock_bytes *b, size_t begun);

void mock_put_auth(struct mock_bytes *b, uint32_t what);
void mock_put_parameter(struct mock_bytes *b, const char *name, const char *value);
void mock_put_key(struct mock_bytes *b, int pid, uint32_t secret);
void mock_put_ready(struct mock_bytes *b, char transaction);
void mock_put_empty(struct mock_bytes *b, char type);
void mock_put_tag(struct mock_bytes *b, const char *tag);
/* type 'E' or 'N'; sqlstate "": no such field */
void mock_put_words(struct mock_bytes *b, char type, const char *severity, const char *sqlstate,
                    const char *text);
void mock_put_columns(struct mock_bytes *b, int columns);
void mock_put_row(struct mock_bytes *b, int columns, const char *const *values);

uint32_t mock_read_int(const char *at, int bytes);

#endif
