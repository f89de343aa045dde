// The clients of this process that a shard serves: takes their batches, gives them their results.
//
// Their appends go the way of everybody's (ClientSide): what may be acknowledged, and when, is
// decided there.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/io/io.h"
#include "engine/shard/client_side.h"
#include "engine/shard/local_port.h"

namespace sluice::shard {

class LocalSide {
 public:
  LocalSide(io::Io& io, ClientSide& client_side) : io_(io), client_side_(client_side) {}

  void attach(LocalPort& port);
  /// Gives up the port: what is in a log uncommitted is unknown, what was not looked at is refused.
  /// No-op if it is not attached.
  void close(LocalPort& port);
  void close_all();
  /// Precondition: no port is attached. Run the Io until gone().
  void stop() { io_.cancel(timer_); }
  [[nodiscard]] bool gone() const { return !timer_.pending(); }

  /// Appends what the clients handed over, until there is no room; of a client that never ends, a
  /// portion. has_work() tells of what is left.
  void take();
  /// Ports that had no room are looked at again by take().
  void resume();
  /// Lets the clients run whose batches came back, or whose time came. True: some did, and may have
  /// handed over more.
  bool turn();
  /// What became of a batch, or of a part of it.
  void answer(const ClientRef& client, const wire::AppendResult& result);

  [[nodiscard]] bool has_ports() const { return !ports_.empty(); }
  /// There is something for take() or turn().
  [[nodiscard]] bool has_work() const;

 private:
  void take(LocalPort& port);
  [[nodiscard]] static LocalBatch* next(LocalPort& port);
  static void begin(LocalBatch& batch);
  void give_back(LocalPort& port, LocalBatch& batch);
  static void answer_rest(LocalBatch& batch, Errc code);
  void end(LocalPort& port);

  void arm();
  void on_timer(std::int32_t result);

  io::Io& io_;
  ClientSide& client_side_;
  io::Completion timer_{io::Completion::bind<&LocalSide::on_timer>(this)};
  std::uint64_t timer_ns_ = 0;  // when it fires
  std::vector<LocalPort*> ports_;
  std::uint64_t next_generation_ = 1;
  std::size_t take_from_ = 0;  // whose turn is first
};

}  // namespace sluice::shard
