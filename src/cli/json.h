/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the documents of `--json` are made of, by jansson.
 *
 * Ownership: every cli_json_* value is a new reference, and cli_json_put takes it over, also when
 * it fails. A failure can only be want of memory and ends the process.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* Puts value into object under name and takes it over. */
void cli_json_put(json_t *object, const char *name, json_t *value);

/* The same for the end of an array. */
void cli_json_add(json_t *array, json_t *value);

json_t *cli_json_object(void);
json_t *cli_json_array(void);
json_t *cli_json_bool(bool value);
json_t *cli_json_int(int64_t value);

/* null for a negative number, which is weir's way to say unknown. */
json_t *cli_json_known(int64_t value);

/* A number that is not negative, with one digit behind the point. */
json_t *cli_json_real(double value);

/* Text; bytes that are not UTF-8 (a server's message in another encoding) become '?'. */
json_t *cli_json_text(const char *text);

/* Prints to standard output and gives the document back. */
void cli_json_print(json_t *document);

/* The same on one line. */
void cli_json_print_line(json_t *document);

#endif
