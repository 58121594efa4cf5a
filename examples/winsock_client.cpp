/*
 * winsock_client: says a word to an echo server and prints the answer, as one writes it for Winsock.
 *
 *     winsock_client HOST PORT WORD
 */
#include <winsock2.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

static int fail(const char *what) {
    std::fprintf(stderr, "%s failed with %d\n", what, WSAGetLastError());
    return 1;
}

static int talk(const char *host, u_short port, const char *word) {
    hostent *found = gethostbyname(host);
    if (found == nullptr)
        return fail("gethostbyname");

    sockaddr_in peer = {};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(port);
    std::memcpy(&peer.sin_addr, found->h_addr, sizeof peer.sin_addr);

    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (s == INVALID_SOCKET)
        return fail("socket");
    if (connect(s, (sockaddr *)&peer, sizeof peer) == SOCKET_ERROR)
        return fail("connect");

    int want = (int)std::strlen(word);
    if (send(s, word, want, 0) != want)
        return fail("send");

    // Wait for the answer as Winsock's programs do: the first argument of select means nothing there.
    timeval time = {5, 0};
    fd_set ready;
    FD_ZERO(&ready);
    FD_SET(s, &ready);
    if (select(0, &ready, nullptr, nullptr, &time) != 1)
        return fail("select");
    char answer[512];
    int got = recv(s, answer, sizeof answer, 0);
    if (got == SOCKET_ERROR)
        return fail("recv");
    std::printf("%.*s\n", got, answer);

    shutdown(s, SD_SEND);
    closesocket(s);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s HOST PORT WORD\n", argv[0]);
        return 2;
    }
    WSADATA data;
    if (int why = WSAStartup(MAKEWORD(2, 2), &data)) {
        std::fprintf(stderr, "WSAStartup failed with %d\n", why);
        return 1;
    }
    int status = talk(argv[1], (u_short)std::atoi(argv[2]), argv[3]);
    WSACleanup();
    return status;
}
