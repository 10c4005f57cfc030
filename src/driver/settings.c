/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings that a server reports and a session can change, as one number.
 */
#include "driver/settings.h"

#include <stddef.h>

#include "base/line.h"

/* The settings that are reported and a session can change. client_encoding is libpq's to know. */
static const char *const reported[] = {
	"TimeZone",
	"standard_conforming_strings",
	"session_authorization",
	"is_superuser",
	"IntervalStyle",
	"default_transaction_read_only",
	"in_hot_standby", /* no session changes it, but what it is handed out as may be wrong */
	"DateStyle",
	"application_name",
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* Eight bytes a word, the end among them: where one text ends and the next begins counts. */
static uint64_t mix_text(uint64_t hash, const char *text)
{
	uint64_t word = 0;

	for (size_t i = 1;; i++) {
		word = word << 8 | (unsigned char)*text;
		if (!*text++)
			return mix(hash, word);
		if (i % sizeof(word) == 0) {
			hash = mix(hash, word);
			word = 0;
		}
	}
}

uint64_t wi_settings_hash(const struct pg_conn *pg, int encoding,
                          const char *(*value_of)(const struct pg_conn *pg, const char *name))
{
	uint64_t hash = mix(0, (uint64_t)encoding);

	for (size_t i = 0; i < WI_ARRAY_LEN(reported); i++) {
		const char *value = value_of(pg, reported[i]);

		hash = mix_text(hash, value ? value : "");
	}
	return hash;
}
