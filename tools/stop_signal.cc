#include "tools/stop_signal.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "wire/check.h"

namespace sluice::tools {

StopSignal::StopSignal(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  SLUICE_CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  quit_ = ::eventfd(0, EFD_CLOEXEC);
  SLUICE_CHECK(signals_ >= 0 && quit_ >= 0);
  thread_ = std::thread([this] { watch(); });
}

StopSignal::~StopSignal() {
  SLUICE_CHECK(::eventfd_write(quit_, 1) == 0);
  thread_.join();
  ::close(signals_);
  ::close(quit_);
}

void StopSignal::watch() {
  for (;;) {
    pollfd waits[] = {{signals_, POLLIN, 0}, {quit_, POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) continue;  // EINTR
    if (waits[1].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signals_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    if (stopped_.exchange(true)) ::_exit(128 + static_cast<int>(info.ssi_signo));
    on_stop_();
  }
}

}  // namespace sluice::tools
