/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. A short value that one thread posts now and then and any thread may read. There are two
 * places, written in turn, and a count of the posts says which holds the last: so a reader meets no
 * writer, however long that one is stopped in the middle, unless two posts end while it reads. A
 * sequence lock otherwise (H.-J. Boehm, "Can seqlocks get along with programming language memory
 * models?", 2012). Nothing is freed, and nobody waits for anybody.
 *
 * States of `posts`: 0: nothing was ever posted; n: the last is in place n % 2.
 *
 * Orderings. R1 on each word, A1 on each word: a reader that sees a word of a later post in its
 * place also sees that the count has moved. R2 at the end of a post, A2 at the beginning of a read:
 * a reader sees all words of the post that it counted.
 */
#ifndef WI_BASE_POSTED_H
#define WI_BASE_POSTED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"

#define WI_POSTED_WORDS 68

#define WI_POSTED_TRIES 4

struct wi_posted {
	_Atomic uint32_t posts;
	_Atomic uint64_t word[2][WI_POSTED_WORDS];
};

/* Nothing is posted. Only while nobody else uses it. */
static inline void wi_posted_init(struct wi_posted *p)
{
	wi_store_rlx(&p->posts, 0);
}

/* Posts size bytes, at most WI_POSTED_WORDS * 8. One thread at a time. */
static inline void wi_post(struct wi_posted *p, const void *value, size_t size)
{
	uint32_t n = wi_load_rlx(&p->posts) + 1;
	uint64_t words[WI_POSTED_WORDS] = {0};

	if (n == 0)
		n = 2; /* 0 says that there is none */
	memcpy(words, value, size);
	for (size_t i = 0; i < (size + 7) / 8; i++)
		/* [posted:R1] no word before the count of the post before it; pairs with A1 */
		wi_store_rel(&p->word[n % 2][i], words[i]);
	wi_store_rel(&p->posts, n); /* [posted:R2] all words; pairs with A2 */
}

/*
 * Reads what was posted last; false: nothing was, or posts came faster than it reads. Any thread.
 */
static inline bool wi_posted_read(struct wi_posted *p, void *value, size_t size)
{
	uint64_t words[WI_POSTED_WORDS];

	for (int tries = 0; tries < WI_POSTED_TRIES; tries++) {
		uint32_t n = wi_load_acq(&p->posts); /* [posted:A2] pairs with R2 */

		if (n == 0)
			return false;
		for (size_t i = 0; i < (size + 7) / 8; i++)
			words[i] = wi_load_acq(&p->word[n % 2][i]); /* [posted:A1] pairs with R1 */
		if (wi_load_rlx(&p->posts) != n)
			continue;
		memcpy(value, words, size);
		return true;
	}
	return false;
}

#endif
