// One TCP connection to one shard of one node: dialling, the hello, frames in, one send at a time
// out.
//
//   kDown -> kConnecting -> kGreeting -> kReady -> kBreaking -> kDown
//
// Whatever goes wrong leads to kBreaking, where the operations in flight are waited for; from kDown
// it is dialled again on demand, after a pause that doubles with each failure.
//
// The heart of batching is pump(): while a send is under way nothing leaves, so everything that is
// asked for gathers; when it completes, the owner is asked once for all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/client/send_buffer.h"
#include "engine/io/io.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice::client {

class Connection {
 public:
  enum class State : std::uint8_t { kDown, kConnecting, kGreeting, kReady, kBreaking };

  /// Where it leads. `number` counts the client's connections.
  struct Place {
    std::size_t address = 0;
    ShardId shard;
    std::size_t number = 0;
  };

  /// Who uses the connections. None of these calls may destroy the connection.
  class Owner {
   public:
    /// Builds the Hello in the buffer's envelope.
    virtual void write_hello(Connection&, SendBuffer&) = 0;
    /// kOk: the node is the one that is wanted, the connection is ready from now on.
    [[nodiscard]] virtual Errc on_hello(Connection&, const wire::HelloReply&) = 0;
    virtual void on_ready(Connection&) = 0;
    /// False: the frame makes no sense, the connection is to be closed.
    [[nodiscard]] virtual bool on_frame(Connection&, const FrameView&) = 0;
    /// Adds what is to be sent now.
    virtual void fill(Connection&, SendBuffer&) = 0;
    /// The send in progress, if any, no longer reads the bytes that fill() added.
    virtual void on_send_over(Connection&) = 0;
    /// It is lost, or could not be made. Sends may still be in progress.
    virtual void on_lost(Connection&, Errc) = 0;
    /// The last thing that each of its completions does.
    virtual void on_handler_end() = 0;

   protected:
    ~Owner() = default;
  };

  Connection(io::Io& io, Owner& owner, const io::Endpoint& endpoint, Place place);

  /// Dials if it is down and the pause is over.
  void want();
  /// Sends what the owner has, unless a send is under way.
  void pump();
  /// Gives it up now. No-op if it is down already.
  void lose(Errc why);
  /// Gives it up and never dials again.
  void stop();
  /// Gives up a dial or hello that takes too long, and a silence in which nobody waits any more.
  void check_time(std::uint64_t now_ns);
  /// An answer is due that a node in order gives at once. Paired with expect_no_more(), at the
  /// latest in on_lost().
  void expect();
  void expect_no_more();
  /// An answer that was to come later is overdue: as silent as one that was due at once.
  void suspect() { asked_ = true; }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool ready() const { return state_ == State::kReady; }
  /// On its way to ready().
  [[nodiscard]] bool coming() const {
    return state_ == State::kConnecting || state_ == State::kGreeting;
  }
  [[nodiscard]] bool idle() const { return state_ == State::kDown; }
  [[nodiscard]] const Place& place() const { return place_; }
  /// When the present dial began.
  [[nodiscard]] std::uint64_t dialled_ns() const { return dialled_ns_; }
  /// Since when nothing was heard: the last receive, or what was asked first after it.
  [[nodiscard]] std::uint64_t quiet_since_ns() const { return quiet_since_ns_; }
  /// Something was asked and nothing at all was heard for a second: the node may stand still, with
  /// its socket open. What can go elsewhere does so.
  [[nodiscard]] bool silent(std::uint64_t now_ns) const;

  bool pump_wanted = false;  // for the owner

 private:
  void on_connect(std::int32_t result);
  void on_recv(std::int32_t result);
  void on_send(std::int32_t result);
  void greet();
  void submit_recv();
  void submit_send();
  void parse_frames();
  [[nodiscard]] bool on_parsed(const FrameView& frame);
  void make_room(std::size_t frame_bytes);
  void finish_breaking();
  void set_pause();

  io::Io& io_;
  Owner& owner_;
  const io::Endpoint endpoint_;
  const Place place_;

  State state_ = State::kDown;
  bool stopped_ = false;
  bool parsing_ = false;  // handlers may look at received_
  io::Handle socket_ = io::Handle::kNone;
  std::uint32_t failures_ = 0;
  std::uint64_t retry_at_ns_ = 0;
  std::uint64_t dialled_ns_ = 0;
  std::uint64_t quiet_since_ns_ = 0;
  bool asked_ = false;             // an answer is due, or was since the last receive
  std::uint32_t answers_due_ = 0;  // that somebody still waits for

  std::size_t frame_bytes_max_ = 0;        // taken from the node at present
  std::unique_ptr<std::byte[]> received_;  // aligned to 8
  std::size_t capacity_bytes_ = 0;
  std::size_t begin_ = 0;  // of what is not parsed yet; a multiple of 8
  std::size_t end_ = 0;
  SendBuffer out_;

  io::Completion connect_{io::Completion::bind<&Connection::on_connect>(this)};
  io::Completion recv_{io::Completion::bind<&Connection::on_recv>(this)};
  io::Completion send_{io::Completion::bind<&Connection::on_send>(this)};
};

}  // namespace sluice::client
