/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words for statuses, roles and reasons. A number that no table has (a newer program's) gets words
 * too.
 */
#include <weir/status.h>

#include <weir/conn.h>

#define FITS(name, number, retry, text)                                                            \
	_Static_assert((number) < WEIR_STATUSES, #name " can be counted");
WEIR_STATUS_MAP(FITS)
#undef FITS

const char *weir_status_name(weir_status status)
{
	switch (status) {
#define NAME(name, number, retry, text)                                                            \
	case WEIR_##name:                                                                          \
		return #name;
		WEIR_STATUS_MAP(NAME)
#undef NAME
	}
	return "UNKNOWN";
}

const char *weir_status_text(weir_status status)
{
	switch (status) {
#define TEXT(name, number, retry, text)                                                            \
	case WEIR_##name:                                                                          \
		return text;
		WEIR_STATUS_MAP(TEXT)
#undef TEXT
	}
	return "unknown status";
}

weir_retry weir_status_retry(weir_status status)
{
	switch (status) {
#define RETRY(name, number, retry, text)                                                           \
	case WEIR_##name:                                                                          \
		return WEIR_RETRY_##retry;
		WEIR_STATUS_MAP(RETRY)
#undef RETRY
	}
	return WEIR_RETRY_NEVER;
}

const char *weir_role_name(weir_role role)
{
	switch (role) {
	case WEIR_ROLE_UNKNOWN:
		return "unknown";
	case WEIR_ROLE_PRIMARY:
		return "primary";
	case WEIR_ROLE_REPLICA:
		return "replica";
	}
	return "unknown";
}

const char *weir_reason_name(weir_reason reason)
{
	static const char *const names[] = {
#define NAME(name, text) #name,
		WEIR_REASON_MAP(NAME)
#undef NAME
	};

	return (unsigned)reason < WEIR_REASONS ? names[reason] : "UNKNOWN";
}

const char *weir_reason_text(weir_reason reason)
{
	static const char *const texts[] = {
#define TEXT(name, text) text,
		WEIR_REASON_MAP(TEXT)
#undef TEXT
	};

	return (unsigned)reason < WEIR_REASONS ? texts[reason] : "unknown reason";
}

bool weir_reason_is_fallback(weir_reason reason)
{
	return reason == WEIR_REASON_NO_REPLICA || reason == WEIR_REASON_TOO_STALE ||
	       reason == WEIR_REASON_NO_PRIMARY;
}
