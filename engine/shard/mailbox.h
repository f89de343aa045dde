// What other threads may ask of a shard. Rare things only (a socket that belongs to another shard,
// stop), so a lock is good enough; the data path shares nothing between cores.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/io/io.h"
#include "engine/shard/connection.h"

namespace sluice::shard {

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

  struct Mail {
    std::vector<Connection::Moved> moved;
    bool stop = false;
  };
  /// The owner's thread.
  [[nodiscard]] Mail take() {
    const std::lock_guard lock(mutex_);
    return {std::exchange(moved_, {}), stop_};
  }
  [[nodiscard]] io::Waker& waker() { return *waker_; }

 private:
  std::unique_ptr<io::Waker> waker_;
  std::mutex mutex_;
  std::vector<Connection::Moved> moved_;
  bool stop_ = false;
};

}  // namespace sluice::shard
