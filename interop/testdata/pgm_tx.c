/* An OpenPGM source that sends a file.
 *
 *   pgm_tx -n 10.77.0.1;239.192.0.9 -u PORT -p DATA-DESTINATION -x DATA-SOURCE -m MTU -r BYTES/S -k GROUP -a LEN,... FILE
 *
 * The file is cut into APDUs whose lengths go round the list of -a; the last one is what is left. Prints "ready" when it is connected,
 * waits for a line on stdin, sends, prints "sent APDUS BYTES", and repairs until its stdin ends. Then it closes: three FIN SPMs,
 * after which nobody repairs.
 *
 * With -k it announces parity on demand, in groups of so many packets. It cannot make any: in libpgm 5.3.128 the first NAK for
 * parity ends a source whose window has a size in packets. */
#include <fcntl.h>
#include "peer.h"

/* serve lets the library take what came (NAKs, SPMRs) and run its timers. An OpenPGM source repairs only in here, one RDATA
 * a call. */
static void serve(pgm_sock_t *sock)
{
	static char buf[65536];
	for (int i = 0; i < 64; i++) {
		size_t n = 0;
		pgm_error_t *e = NULL;
		int st = pgm_recv(sock, buf, sizeof buf, MSG_DONTWAIT, &n, &e);
		if (e) pgm_error_free(e);
		if (st != PGM_IO_STATUS_NORMAL) return;
	}
}

/* send_apdu sends one APDU. pgm_send of Debian's libpgm 5.3.128 copies with aligned 16-byte stores: the payload of a packet and the
 * place it is copied to must agree modulo 16, or it dies. That place is 0 modulo 16 in a plain packet and 4 in a
 * fragment; and the fragment's size must be a multiple of 16, which is so with an MTU of 1496 over IPv4 and 1500 over IPv6. */
static void send_apdu(pgm_sock_t *sock, const unsigned char *data, size_t len, size_t whole)
{
	static unsigned char mem[65536 + 16] __attribute__((aligned(16)));
	unsigned char *buf = len > whole ? mem + 4 : mem;
	memcpy(buf, data, len);
	for (;;) {
		int st = pgm_send(sock, buf, len, NULL);
		if (st == PGM_IO_STATUS_NORMAL) return;
		if (st == PGM_IO_STATUS_ERROR) die("pgm_send", NULL);
		serve(sock);
		usleep(500);
	}
}

static unsigned char *load(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END)) die(path, NULL);
	*size = ftell(f);
	rewind(f);
	unsigned char *data = malloc(*size);
	if (!data || fread(data, 1, *size, f) != *size) die(path, NULL);
	fclose(f);
	return data;
}

/* option returns an integer option of sock. */
static int option(pgm_sock_t *sock, int name)
{
	int v = 0;
	socklen_t len = sizeof v;
	if (!pgm_getsockopt(sock, IPPROTO_PGM, name, &v, &len)) die("pgm_getsockopt", NULL);
	return v;
}

int main(int argc, char **argv)
{
	const char *network = NULL;
	int port = 7500, data_destination = 7500, data_source = 1000, mtu = 1496, rate = 2000000, group = 0, lens[32], count = 0, c;
	while ((c = getopt(argc, argv, "n:u:p:x:m:r:k:a:")) != -1) switch (c) {
	case 'n': network = optarg; break;
	case 'u': port = number(optarg); break;
	case 'p': data_destination = number(optarg); break;
	case 'x': data_source = number(optarg); break;
	case 'm': mtu = number(optarg); break;
	case 'r': rate = number(optarg); break;
	case 'k': group = number(optarg); break;
	case 'a':
		for (char *s = strtok(optarg, ","); s && count < 32; s = strtok(NULL, ",")) lens[count++] = number(s);
		break;
	default: return 2;
	}
	if (!network || !count || optind + 1 != argc) {
		fprintf(stderr, "usage: see the head of pgm_tx.c\n");
		return 2;
	}
	size_t size;
	unsigned char *data = load(argv[optind], &size);

	struct pgm_addrinfo_t *res = NULL;
	pgm_sock_t *sock = peer_open(network, port, mtu, &res);
	/* No rate limit of the library's: without blocking, it would announce and repair what it has not sent. */
	int on = 1, window = 8192, ambient = pgm_secs(1);
	int heartbeat[] = { pgm_msecs(20), pgm_msecs(20), pgm_msecs(50), pgm_msecs(100), pgm_msecs(200), pgm_msecs(500) };
	SET(sock, PGM_SEND_ONLY, on);
	SET(sock, PGM_TXW_SQNS, window);
	SET(sock, PGM_AMBIENT_SPM, ambient);
	SET(sock, PGM_HEARTBEAT_SPM, heartbeat);
	if (group) {
		struct pgm_fecinfo_t fec = { .block_size = 255, .group_size = group, .ondemand_parity_enabled = TRUE };
		SET(sock, PGM_USE_FEC, fec);
	}
	peer_connect(sock, res, data_destination, data_source, "rmcast interop source");

	size_t whole = option(sock, PGM_MSSS);
	if (option(sock, PGM_MSS) % 16) {
		fprintf(stderr, "fragments of %d bytes would kill pgm_send: another MTU is needed\n", option(sock, PGM_MSS));
		return 2;
	}
	while (getchar() != '\n') if (feof(stdin)) return 1;

	double start = now();
	int apdus = 0;
	for (size_t done = 0; done < size; apdus++) {
		size_t len = lens[apdus % count];
		if (len > size - done) len = size - done;
		send_apdu(sock, data + done, len, whole);
		done += len;
		serve(sock);
		while (start + (double)done / rate > now()) {
			usleep(200);
			serve(sock);
		}
	}
	printf("sent %d %zu\n", apdus, size);
	fflush(stdout);

	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	for (;;) {
		char b[16];
		if (read(STDIN_FILENO, b, sizeof b) == 0) break;
		serve(sock);
		usleep(500);
	}
	pgm_close(sock, TRUE);
	return 0;
}
