/* The floor: one process, poll(2), read(2), write(2), a file for each terminal. Arguments: folder, then terminals. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

int main(int count, char **words) {
  static struct pollfd ports[256];
  static int files[256];
  static char buffer[65536];
  int n = count - 2 > 256 ? 256 : count - 2;
  for (int i = 0; i < n; i++) {
    char name[4096];
    struct termios settings;
    ports[i].fd = open(words[i + 2], O_RDWR | O_NOCTTY | O_NONBLOCK);
    ports[i].events = POLLIN;
    if (ports[i].fd < 0 || tcgetattr(ports[i].fd, &settings) < 0) return 1;
    cfmakeraw(&settings);
    if (tcsetattr(ports[i].fd, TCSANOW, &settings) < 0) return 1;
    snprintf(name, sizeof name, "%s/p%02d.log", words[1], i + 1);
    files[i] = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (files[i] < 0) return 1;
  }
  for (;;) {
    if (poll(ports, n, -1) < 0) continue;
    for (int i = 0; i < n; i++) {
      if (!ports[i].revents) continue;
      ssize_t length = read(ports[i].fd, buffer, sizeof buffer);
      if (length > 0 && write(files[i], buffer, length) != length) return 1;
    }
  }
}
