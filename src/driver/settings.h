/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings that a server reports and a session can change, as one number. No libpq here.
 */
#ifndef WI_DRIVER_SETTINGS_H
#define WI_DRIVER_SETTINGS_H

#include <stdint.h>

struct pg_conn;

/*
 * A hash of the client encoding and of what value_of (PQparameterStatus) says of every other such
 * setting, which may be NULL.
 */
uint64_t wi_settings_hash(const struct pg_conn *pg, int encoding,
                          const char *(*value_of)(const struct pg_conn *pg, const char *name));

#endif
