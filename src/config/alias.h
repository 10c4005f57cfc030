/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aliases.def as the files of this room see it: each foreign name, and its values in weir's words.
 */
#ifndef WI_CONFIG_ALIAS_H
#define WI_CONFIG_ALIAS_H

#include <stddef.h>

#include "config/table.h"

/* How a value is written; aliases.def tells. */
enum wi_form {
	WI_FORM_NUMBER,
	WI_FORM_SECONDS,
	WI_FORM_MS,
	WI_FORM_BOOL,
	WI_FORM_PING,
	WI_FORM_SHARE,
	WI_FORM_RECYCLE,
	WI_FORM_OVERFLOW,
	WI_FORM_PART, /* of the connection string: as it is */
};

/*
 * What "no limit" comes to: more than a server usually has connections, as little as each costs
 * that is never opened. A slot is memory, and the keeper counts over all of them.
 */
#define WI_OVERFLOW_UNLIMITED 1000

/* One row; constant. */
struct wi_alias {
	weir_alias_row shown; /* what weir_alias_at hands out */
	enum wi_form form;
	const char *target; /* the option, or the part's keyword, which may be an option, too */
};

/* The i-th row, or NULL beyond the last. */
const struct wi_alias *wi_alias_at(size_t i);

/* The row of an environment name, or NULL. */
const struct wi_alias *wi_alias_find(const char *env);

/* The alias nearest to an environment name that is none, or NULL. */
const char *wi_alias_nearest(const char *env);

/*
 * Sets the option of an alias from a value in the alias's own unit. OK, or INVALID and nothing
 * changed; the words name neither variable nor option, and show the value.
 */
weir_status wi_alias_set(const struct wi_alias *alias, const struct wi_option *row,
                         weir_options *options, const char *value, weir_error *error);

#endif
