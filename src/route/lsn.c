/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to positions, and headers taken off; lsn.h tells why. */
#include "route/lsn.h"

#include <stddef.h>

#include "base/text.h"

#define BLOCK_BYTES 8192
#define SEGMENT_BYTES (16 << 20)
#define SHORT_HEADER 24 /* of each page of the log (XLogPageHeaderData, aligned) */
#define LONG_HEADER 40  /* of the first page of a segment (XLogLongPageHeaderData) */

/* The number at the start of text; NULL: none there, or above max. Returns where it ends. */
static const char *take_number(const char *text, int base, uint64_t max, uint64_t *number)
{
	uint64_t n = 0;
	const char *at = text;

	for (int digit; (digit = wi_hex_digit(*at)) >= 0 && digit < base; at++) {
		uint64_t d = (uint64_t)digit;

		if (n > (max - d) / (uint64_t)base)
			return NULL;
		n = n * (uint64_t)base + d;
	}
	*number = n;
	return at > text ? at : NULL;
}

bool wi_number_parse(const char *text, int base, uint64_t *number)
{
	const char *end = take_number(text, base, UINT64_MAX, number);

	return end && *end == '\0';
}

bool wi_lsn_parse(const char *text, uint64_t *lsn)
{
	uint64_t high, low;
	const char *at = take_number(text, 16, UINT32_MAX, &high);

	if (!at || *at != '/')
		return false;
	at = take_number(at + 1, 16, UINT32_MAX, &low);
	if (!at || *at != '\0')
		return false;
	*lsn = high << 32 | low;
	return true;
}

uint64_t wi_lsn_normalise(uint64_t lsn, uint64_t block_bytes, uint64_t segment_bytes)
{
	uint64_t block = block_bytes ? block_bytes : BLOCK_BYTES;
	uint64_t segment = segment_bytes ? segment_bytes : SEGMENT_BYTES;

	if (lsn % segment == LONG_HEADER)
		return lsn - LONG_HEADER;
	if (lsn % block == SHORT_HEADER)
		return lsn - SHORT_HEADER;
	return lsn;
}
