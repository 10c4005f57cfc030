/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words for statuses, roles and reasons. A number that no table has (a newer program's) gets words
 * too.
 */
#include <weir/status.h>

#include <weir/conn.h>

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

const char *weir_reason_text(weir_reason reason)
{
	switch (reason) {
	case WEIR_REASON_NONE:
		return "taken from a pool, without a router";
	case WEIR_REASON_WRITE:
		return "a write: the primary";
	case WEIR_REASON_BALANCED:
		return "a read: balanced over the eligible replicas";
	case WEIR_REASON_SPILLED:
		return "a read: the replica chosen first was busy, this one was not";
	case WEIR_REASON_NO_REPLICA:
		return "a read on the primary: no replica was eligible";
	case WEIR_REASON_TOO_STALE:
		return "a read on the primary: no replica was fresh enough";
	case WEIR_REASON_PRIMARY_WANTED:
		return "a read on the primary, as was asked";
	case WEIR_REASON_NO_PRIMARY:
		return "a read that the primary was to serve: there is none";
	}
	return "unknown reason";
}
