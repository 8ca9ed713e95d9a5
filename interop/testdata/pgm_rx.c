/* An OpenPGM receiver that writes what it gets to a file.
 *
 *   pgm_rx -n 10.77.1.0;239.192.0.9 -u PORT -p DATA-DESTINATION -m MTU -b BYTES -t SECONDS FILE
 *
 * Prints "ready" when it hears the group. For each APDU the file gets its length as four bytes, high byte first, and its bytes. It
 * ends when it has BYTES of payload (OpenPGM does not tell of FIN), when data was lost for good, or after SECONDS, and
 * prints "got APDUS BYTES RESETS" last. */
#include "peer.h"

int main(int argc, char **argv)
{
	const char *network = NULL;
	int port = 7500, data_destination = 7500, mtu = 1500, seconds = 30, c;
	long want = 0;
	while ((c = getopt(argc, argv, "n:u:p:m:b:t:")) != -1) switch (c) {
	case 'n': network = optarg; break;
	case 'u': port = number(optarg); break;
	case 'p': data_destination = number(optarg); break;
	case 'm': mtu = number(optarg); break;
	case 'b': want = number(optarg); break;
	case 't': seconds = number(optarg); break;
	default: return 2;
	}
	if (!network || !want || optind + 1 != argc) {
		fprintf(stderr, "usage: see the head of pgm_rx.c\n");
		return 2;
	}
	FILE *out = fopen(argv[optind], "wb");
	if (!out) die(argv[optind], NULL);

	struct pgm_addrinfo_t *res = NULL;
	pgm_sock_t *sock = peer_open(network, port, mtu, &res);
	/* The timers are those of OpenPGM's examples, with the short waits that suit a link of one hop. */
	int on = 1, off = 0, window = 16384, retries = 50, expiry = pgm_secs(300), spmr = pgm_msecs(25);
	int backoff = pgm_msecs(50), repeat = pgm_msecs(200), rdata = pgm_msecs(200);
	SET(sock, PGM_RECV_ONLY, on);
	SET(sock, PGM_PASSIVE, off);
	SET(sock, PGM_RXW_SQNS, window);
	SET(sock, PGM_PEER_EXPIRY, expiry);
	SET(sock, PGM_SPMR_EXPIRY, spmr);
	SET(sock, PGM_NAK_BO_IVL, backoff);
	SET(sock, PGM_NAK_RPT_IVL, repeat);
	SET(sock, PGM_NAK_RDATA_IVL, rdata);
	SET(sock, PGM_NAK_DATA_RETRIES, retries);
	SET(sock, PGM_NAK_NCF_RETRIES, retries);
	peer_connect(sock, res, data_destination, 0, "rmcast interop receiver");

	static unsigned char buf[65536];
	int apdus = 0, resets = 0;
	long got = 0;
	for (double end = now() + seconds; got < want && !resets && now() < end;) {
		size_t n = 0;
		pgm_error_t *e = NULL;
		int st = pgm_recv(sock, buf, sizeof buf, MSG_DONTWAIT, &n, &e);
		if (st == PGM_IO_STATUS_NORMAL) {
			unsigned char head[4] = { n >> 24, n >> 16, n >> 8, n };
			if (fwrite(head, 1, 4, out) != 4 || fwrite(buf, 1, n, out) != n) die("write", NULL);
			apdus++;
			got += n;
			continue;
		}
		if (st == PGM_IO_STATUS_RESET) resets++;
		if (e) {
			fprintf(stderr, "status %d: %s\n", st, e->message ? e->message : "");
			pgm_error_free(e);
		}
		if (st == PGM_IO_STATUS_ERROR || st == PGM_IO_STATUS_EOF) break;
		usleep(500);
	}
	if (fclose(out)) die("write", NULL);
	printf("got %d %ld %d\n", apdus, got, resets);
	pgm_close(sock, FALSE);
	return 0;
}
