/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the few members that a test wants out of a line of well-formed JSON. A value is a pointer
 * to its first character in the line; nothing is copied but texts.
 */
#ifndef WEIR_TEST_JSON_READ_H
#define WEIR_TEST_JSON_READ_H

#include <stddef.h>

/*
 * The value of a member of an object, or NULL if the object has no such member (or is no object).
 */
const char *test_json_member(const char *object, const char *name);

/* The i-th value of an array, or NULL beyond its end. */
const char *test_json_item(const char *array, size_t i);

/*
 * A text value, unescaped, in memory of its own that the caller frees; NULL if the value is no
 * text.
 */
char *test_json_text(const char *value);

/* A whole number; 0 if the value is none. */
long test_json_number(const char *value);

/* Whether the value is true. */
int test_json_true(const char *value);

#endif
