/* SPDX-License-Identifier: BSD-2-Clause */
/* What weir asks of a server for its sessions: how it is asked for, and whether it is in force. */
#ifndef WI_POOL_SETTINGS_H
#define WI_POOL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/options.h>
#include <weir/stats.h>

#include "driver/driver.h"

#define WI_SETTINGS 5 /* timeouts */

/* Built once from the options; `unknown` and startup change as a server is found to be older. */
struct wi_settings {
	char startup[1024];       /* for libpq's `options` */
	char startup_reads[1072]; /* the same for sessions that are to be read-only */
	char apply[1536];         /* as SET statements, for where startup options are refused */
	char verify[1536];        /* a SELECT of what is in force */
	const char *users; /* startup options of the user's own, for which SET is no substitute */
	char path[256];    /* the search path, or "" */
	bool read_only;    /* default_transaction_read_only is to be on */
	bool users_access; /* or the user's own options decide about it */
	int64_t want_ms[WI_SETTINGS]; /* -1: not weir's to judge (the user's own options name it) */
	bool unknown[WI_SETTINGS];    /* wanted, and this server is too old to know it */
	bool left_out[WI_SETTINGS];   /* of startup, for that */
	uint8_t edition;              /* of startup: from 1, one more with each that is left out */
};

/* users: the startup options of the connection string, or NULL; must live as long as *s. */
weir_status wi_settings_build(struct wi_settings *s, const weir_options *options, const char *users,
                              weir_error *error);

/*
 * Reads the answer to `verify` into the members of *f that it tells about; whether all is as asked
 * for. What the server is too old to know counts as that.
 */
bool wi_settings_match(const struct wi_settings *s, const struct wi_answer *answer,
                       weir_in_force *f);

/*
 * Takes a setting that is named by a refusal of the startup options, and that older servers do not
 * know, out of them. edition: of the options that were refused. Its name, or NULL if it is none of
 * those, or was not among what was refused; again: it was told before.
 */
const char *wi_settings_leave_out(struct wi_settings *s, const char *refusal, uint8_t edition,
                                  bool *again);

/* The same for one that the answer to `verify` did not know. NULL: none, or known before. */
const char *wi_settings_unknown(struct wi_settings *s, const weir_in_force *f);

/* Whether something is wanted that this server does not know. */
bool wi_settings_lack_one(const struct wi_settings *s);

/* Who answers, as a session says; -1 and 0: it did not say. */
struct wi_met {
	int recovering; /* a standby */
	int read_only;  /* default_transaction_read_only */
	uint64_t started;
};

/* How it is asked: as it is, or with a default_transaction_read_only that is changed before. */
enum wi_who {
	WI_WHO_ASK,
	WI_WHO_RESTRICT, /* on */
	WI_WHO_ALLOW,    /* off */
	WI_WHO_RESTORE   /* as a reset leaves it */
};

/* A SELECT of that alone. */
const char *wi_settings_who(enum wi_who who);

/*
 * "1732145109.123456" in microseconds: enough of it to tell servers apart; 0 if it cannot be read.
 */
uint64_t wi_settings_microseconds(const char *text);

/* Reads the answer to that, or to `verify`. */
void wi_settings_met(const struct wi_answer *answer, bool is_verify, struct wi_met *met);

/* Other timeouts, for new connections; what servers do not know stays left out. The keeper. */
void wi_settings_retime(struct wi_settings *s, const weir_options *options);

bool wi_settings_is_empty(const struct wi_settings *s);

/* "0", "250ms", "30s", "5min", "1h", "1d" as a server prints them; -1 for anything else. */
int64_t wi_setting_ms(const char *text);

#endif
