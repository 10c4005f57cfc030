/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/mock_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OID 25

void mock_add(struct mock_bytes *b, const void *bytes, size_t n)
{
	if (b->len + n > b->room) {
		b->room = 2 * (b->len + n) + 256;
		b->at = realloc(b->at, b->room);
		if (!b->at)
			abort();
	}
	if (n)
		memcpy(b->at + b->len, bytes, n);
	b->len += n;
}

void mock_add_text(struct mock_bytes *b, const char *text)
{
	mock_add(b, text, strlen(text) + 1);
}

void mock_add_int(struct mock_bytes *b, uint32_t value, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
		mock_add(b, &(char){(char)(value >> 8 * i)}, 1);
}

void mock_drop_front(struct mock_bytes *b, size_t n)
{
	b->len -= n;
	if (n && b->len)
		memmove(b->at, b->at + n, b->len);
}

void mock_bytes_free(struct mock_bytes *b)
{
	free(b->at);
	*b = (struct mock_bytes){0};
}

uint32_t mock_read_int(const char *at, int bytes)
{
	uint32_t value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | (unsigned char)at[i];
	return value;
}

size_t mock_begin(struct mock_bytes *b, char type)
{
	mock_add(b, &type, 1);
	mock_add_int(b, 0, 4);
	return b->len - 4;
}

void mock_finish(struct mock_bytes *b, size_t begun)
{
	uint32_t n = (uint32_t)(b->len - begun);

	for (int i = 0; i < 4; i++)
		b->at[begun + (size_t)i] = (char)(n >> 8 * (3 - i));
}

void mock_put_auth(struct mock_bytes *b, uint32_t what)
{
	size_t m = mock_begin(b, 'R');

	mock_add_int(b, what, 4);
	mock_finish(b, m);
}

void mock_put_parameter(struct mock_bytes *b, const char *name, const char *value)
{
	size_t m = mock_begin(b, 'S');

	mock_add_text(b, name);
	mock_add_text(b, value);
	mock_finish(b, m);
}

void mock_put_key(struct mock_bytes *b, int pid, uint32_t secret)
{
	size_t m = mock_begin(b, 'K');

	mock_add_int(b, (uint32_t)pid, 4);
	mock_add_int(b, secret, 4);
	mock_finish(b, m);
}

void mock_put_ready(struct mock_bytes *b, char transaction)
{
	size_t m = mock_begin(b, 'Z');

	mock_add(b, &transaction, 1);
	mock_finish(b, m);
}

void mock_put_empty(struct mock_bytes *b, char type)
{
	mock_finish(b, mock_begin(b, type));
}

void mock_put_tag(struct mock_bytes *b, const char *tag)
{
	size_t m = mock_begin(b, 'C');

	mock_add_text(b, tag);
	mock_finish(b, m);
}

static void put_field(struct mock_bytes *b, char field, const char *text)
{
	mock_add(b, &field, 1);
	mock_add_text(b, text);
}

void mock_put_words(struct mock_bytes *b, char type, const char *severity, const char *sqlstate,
                    const char *text)
{
	size_t m = mock_begin(b, type);

	put_field(b, 'S', severity);
	put_field(b, 'V', severity);
	if (sqlstate[0])
		put_field(b, 'C', sqlstate);
	put_field(b, 'M', text);
	mock_add_int(b, 0, 1);
	mock_finish(b, m);
}

void mock_put_columns(struct mock_bytes *b, int columns)
{
	size_t m = mock_begin(b, 'T');

	mock_add_int(b, (uint32_t)columns, 2);
	for (int i = 0; i < columns; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%d", i);
		mock_add_text(b, name);
		mock_add_int(b, 0, 4); /* of no table */
		mock_add_int(b, 0, 2);
		mock_add_int(b, TEXT_OID, 4);
		mock_add_int(b, (uint32_t)-1, 2);
		mock_add_int(b, (uint32_t)-1, 4);
		mock_add_int(b, 0, 2);
	}
	mock_finish(b, m);
}

void mock_put_row(struct mock_bytes *b, int columns, const char *const *values)
{
	size_t m = mock_begin(b, 'D');

	mock_add_int(b, (uint32_t)columns, 2);
	for (int i = 0; i < columns; i++) {
		mock_add_int(b, values[i] ? (uint32_t)strlen(values[i]) : (uint32_t)-1, 4);
		if (values[i])
			mock_add(b, values[i], strlen(values[i]));
	}
	mock_finish(b, m);
}
