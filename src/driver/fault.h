/* SPDX-License-Identifier: BSD-2-Clause */
/* What a failure's SQLSTATE and words mean to the pool. Pure functions of text: no libpq here. */
#ifndef WI_DRIVER_FAULT_H
#define WI_DRIVER_FAULT_H

#include <weir/sqlstate.h>

#include "driver/driver.h"

/*
 * The kind of a failed connect. sqlstate decides where the server sent one that says enough; else
 * words do. libpq's own words are English unless the process has set a locale and libpq's catalogs
 * are installed: then a failure without SQLSTATE (refused, certificate, no password) may be taken
 * for REFUSED, the mildest kind: try again later. Never NONE, TIMEOUT only from a timeout of the
 * kernel.
 */
enum wi_fault wi_fault_of_connect(const char *sqlstate, const char *text);

/*
 * Fills *failure from the text of a failed connect as libpq builds it with verbose errors, which is
 * the only way to the SQLSTATE there ("FATAL:  28P01: password ..."): the SQLSTATE goes to its
 * place, source locations go, and the rest is cleaned of control bytes and of the secret.
 */
void wi_failure_of_connect(struct wi_failure *failure, const char *text, const char *secret);

/* The kind of a failed connect of this class, where the class alone decides. */
enum wi_fault wi_fault_of_class(weir_class kind);

/* Whether an error that a holder's statement met with is one for wi_driver.heard. */
bool wi_fault_is_heard(const char *sqlstate, bool hears_all);

/* Fills *failure; sqlstate, text and secret may be NULL. */
void wi_failure_set(struct wi_failure *failure, enum wi_fault fault, const char *sqlstate,
                    const char *text, const char *secret);

/*
 * Whether a message with this severity (untranslated, or NULL) and SQLSTATE (or NULL) ends the
 * session.
 */
bool wi_fault_ends_session(const char *severity, const char *sqlstate);

/*
 * Whether an error says that the server itself does not know whether it was done: 08007 and 40003,
 * which others than PostgreSQL answer a COMMIT with.
 */
bool wi_fault_is_unresolved(const char *sqlstate);

/*
 * A kind's short name for people and tests, "auth" for WI_FAULT_AUTH. Never NULL; static storage.
 */
const char *wi_fault_name(enum wi_fault fault);

#endif
