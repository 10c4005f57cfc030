/* SPDX-License-Identifier: BSD-2-Clause */
/* A program outside the tree that uses libweir-patroni as it was installed. */
#include <stdio.h>

#include <weir/patroni.h>

int main(void)
{
	weir_patroni_options options = {.size = sizeof(options), .urls = "http://127.0.0.1:8008"};
	weir_patroni *patroni = NULL;
	weir_error error;

	if (weir_patroni_start(NULL, &options, &patroni, &error) != WEIR_INVALID || patroni) {
		fprintf(stderr, "consumer: Patroni without a router was taken\n");
		return 1;
	}
	weir_patroni_stop(&patroni);
	return 0;
}
