/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A short value that one thread posts now and then and any thread may read: a sequence lock
 * (H.-J. Boehm, "Can seqlocks get along with programming language memory models?", 2012). Nothing
 * is freed, so the writer waits for nobody, and a reader that meets a writer twice gives up instead
 * of waiting for it.
 *
 * States of `sequence`: even: at rest; odd: being written. 0: nothing was ever posted.
 *
 * Orderings. R1 on each word, A1 on each word: a reader that sees one new word also sees that the
 * sequence has moved. R2 at the end of a write, A2 at the beginning of a read: a reader that begins
 * at rest sees all words of that value.
 */
#ifndef WI_BASE_POSTED_H
#define WI_BASE_POSTED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"

#define WI_POSTED_WORDS 68

struct wi_posted {
	_Atomic uint32_t sequence;
	_Atomic uint64_t word[WI_POSTED_WORDS];
};

/* Nothing is posted. Only while nobody else uses it. */
static inline void wi_posted_init(struct wi_posted *p)
{
	wi_store_rlx(&p->sequence, 0);
}

/* Posts size bytes, at most WI_POSTED_WORDS * 8. One thread at a time. */
static inline void wi_post(struct wi_posted *p, const void *value, size_t size)
{
	uint32_t sequence = wi_load_rlx(&p->sequence);
	uint64_t words[WI_POSTED_WORDS] = {0};

	memcpy(words, value, size);
	wi_store_rlx(&p->sequence, sequence + 1);
	for (size_t i = 0; i < (size + 7) / 8; i++)
		/* [posted:R1] no word before the odd sequence; pairs with A1 */
		wi_store_rel(&p->word[i], words[i]);
	wi_store_rel(&p->sequence, sequence + 2); /* [posted:R2] all words; pairs with A2 */
}

/* Reads what was posted last; false: nothing was, or it is being written. Any thread. */
static inline bool wi_posted_read(struct wi_posted *p, void *value, size_t size)
{
	uint64_t words[WI_POSTED_WORDS];

	for (int tries = 0; tries < 2; tries++) {
		uint32_t sequence = wi_load_acq(&p->sequence); /* [posted:A2] pairs with R2 */

		if (sequence == 0 || (sequence & 1))
			continue;
		for (size_t i = 0; i < (size + 7) / 8; i++)
			words[i] = wi_load_acq(&p->word[i]); /* [posted:A1] pairs with R1 */
		if (wi_load_rlx(&p->sequence) != sequence)
			continue;
		memcpy(value, words, size);
		return true;
	}
	return false;
}

#endif
