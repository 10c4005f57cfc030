/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of tokens. It is 1-<system>-<timeline>-<lsn>, three numbers in lower-case hex without
 * leading zeros; the 1 is the version of this form. Only what print writes is read, so that two
 * texts are the same position only if they are the same text.
 */
#include <stdio.h>
#include <string.h>

#include <weir/token.h>

#include "route/lsn.h"

/* Where both are of one system, or of any. */
static bool is_later(const weir_token *a, const weir_token *b)
{
	bool a_is_last = a->lsn == UINT64_MAX, b_is_last = b->lsn == UINT64_MAX;

	if (a_is_last || b_is_last)
		return a_is_last;
	if (a->system != b->system)
		return true;
	return a->timeline != b->timeline ? a->timeline > b->timeline : a->lsn > b->lsn;
}

void weir_token_raise(weir_token *token, const weir_token *with)
{
	if (token && with && with->lsn && (!token->lsn || is_later(with, token)))
		*token = *with;
}

void weir_token_print(const weir_token *token, char text[WEIR_TOKEN_TEXT])
{
	static const weir_token none;

	if (!text)
		return;
	if (!token)
		token = &none;
	snprintf(text, WEIR_TOKEN_TEXT, "1-%llx-%x-%llx", (unsigned long long)token->system,
	         token->timeline, (unsigned long long)token->lsn);
}

/* The part of a text up to the next '-' or the end, as a number; advances *text beyond it. */
static bool take_part(const char **text, uint64_t *n)
{
	char part[17]; /* 64 bits in hex */
	size_t length = strcspn(*text, "-");

	if (length >= sizeof(part))
		return false;
	memcpy(part, *text, length);
	part[length] = '\0';
	*text += length;
	*text += **text == '-';
	return wi_number_parse(part, 16, n);
}

weir_status weir_token_parse(const char *text, weir_token *token)
{
	uint64_t version, system, timeline, lsn;
	char again[WEIR_TOKEN_TEXT];
	const char *at = text;
	weir_token t;

	if (!text || !token || !take_part(&at, &version) || !take_part(&at, &system) ||
	    !take_part(&at, &timeline) || !take_part(&at, &lsn) || timeline > UINT32_MAX)
		return WEIR_INVALID;
	t = (weir_token){.system = system, .timeline = (uint32_t)timeline, .lsn = lsn};
	weir_token_print(&t, again);
	if (strcmp(again, text) != 0)
		/* another version, capitals, leading zeros, or something behind */
		return WEIR_INVALID;
	*token = t;
	return WEIR_OK;
}
