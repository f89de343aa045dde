// What other threads may ask of a shard. Rare things only (a socket that belongs to another shard, a
// client of this process that comes or goes, stop), so a lock is good enough; the data path shares
// nothing between cores but the queues of such clients (local_port.h), and ring() for them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/io/io.h"
#include "engine/shard/connection.h"

namespace sluice::shard {

class LocalPort;

class Mailbox {
 public:
  explicit Mailbox(std::unique_ptr<io::Waker> waker) : waker_(std::move(waker)) {}

  /// Any thread: a connection whose hello names the shard of this mailbox.
  void hand_over(Connection::Moved moved) {
    {
      const std::lock_guard lock(mutex_);
      moved_.push_back(std::move(moved));
    }
    waker_->wake();
  }
  /// Any thread.
  void request_stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    waker_->wake();
  }

  /// Any thread: a client of this process comes. It lives until its Home heard on_closed().
  /// False: the shard has ended, or is about to; the port stays untouched.
  [[nodiscard]] bool attach(LocalPort& port) { return post({&port, true}); }
  /// Any thread: it wants to go. If the shard has ended meanwhile it has closed all ports.
  void detach(LocalPort& port) { (void)post({&port, false}); }

  /// Any thread: something was put into a queue that the shard looks at in each loop. Wakes it if it
  /// sleeps or is about to: it says so, then looks, then sleeps.
  void ring() {
    if (dozing_.exchange(false)) waker_->wake();
  }
  /// The owner's thread, before it looks and waits, and when it has waited.
  void doze() { dozing_.store(true); }
  void rouse() { dozing_.store(false, std::memory_order_relaxed); }

  struct PortMail {
    LocalPort* port = nullptr;
    bool attach = false;
  };
  struct Mail {
    std::vector<Connection::Moved> moved;
    std::vector<PortMail> ports;  // in the order in which they came
    bool stop = false;
  };
  /// The owner's thread.
  [[nodiscard]] Mail take() {
    const std::lock_guard lock(mutex_);
    return {std::exchange(moved_, {}), std::exchange(ports_, {}), stop_};
  }
  /// The owner's thread, at its end: attach() says no from now on. What came before is in the mail.
  void refuse_ports() {
    const std::lock_guard lock(mutex_);
    ports_refused_ = true;
  }
  [[nodiscard]] io::Waker& waker() { return *waker_; }

 private:
  bool post(PortMail mail) {
    {
      const std::lock_guard lock(mutex_);
      if (ports_refused_) return false;
      ports_.push_back(mail);
    }
    waker_->wake();
    return true;
  }

  std::unique_ptr<io::Waker> waker_;
  std::atomic<bool> dozing_{false};
  std::mutex mutex_;
  std::vector<PortMail> ports_;
  bool ports_refused_ = false;
  std::vector<Connection::Moved> moved_;
  bool stop_ = false;
};

}  // namespace sluice::shard
