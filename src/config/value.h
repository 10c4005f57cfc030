/* SPDX-License-Identifier: BSD-2-Clause */
/* Option values: text into a row, and whether what stands in a row is allowed. */
#ifndef WI_CONFIG_VALUE_H
#define WI_CONFIG_VALUE_H

#include <stdbool.h>

#include "config/table.h"

/*
 * Sets a row's value from text. `quote` says whether the error may show the value: not if it was
 * cut out of a connection string, where a forgotten "&" or blank can put the password into it. OK,
 * or INVALID and nothing changed.
 */
weir_status wi_value_set(const struct wi_option *row, weir_options *options, const char *value,
                         bool quote, weir_error *error);

/*
 * A value as an error may show it: quoted, cut, without control bytes; in `room`. NULL: not at all,
 * as it may be a connection string in the wrong place, with a password anywhere in it.
 */
#define WI_SHOWN_ROOM 72
const char *wi_value_shown(const char *value, char room[WI_SHOWN_ROOM]);

/* Whether it may be such a one. */
bool wi_value_may_be_conninfo(const char *value);

/*
 * Whether the value that stands in the struct is allowed, for structs that a caller filled by hand.
 */
weir_status wi_value_check(const struct wi_option *row, const weir_options *options,
                           weir_error *error);

#endif
