/* SPDX-License-Identifier: BSD-2-Clause */
/* The environment as the files of this room see it. */
#ifndef WI_CONFIG_ENV_H
#define WI_CONFIG_ENV_H

#include "config/alias.h"
#include "config/sources.h"
#include "config/value.h"

/*
 * The value of a variable; NULL also if it is empty, or a link that an orchestrator has put there.
 */
const char *wi_env_get(const char *name);

/* weir_options_from_env, which notes who set what. All or nothing. */
weir_status wi_env_read(weir_options *options, struct wi_sources *sources, weir_error *error);

/* As wi_value_shown, or "set" where that is not shown, or is the password. alias may be NULL. */
const char *wi_env_shown(const struct wi_alias *alias, const char *value, char room[WI_SHOWN_ROOM]);

#endif
