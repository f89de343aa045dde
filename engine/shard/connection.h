// One TCP connection of a node, dialled or accepted: frames in, frames out. What the frames mean is
// its owner's business.
//
// Back-pressure: an owner that cannot take a frame now says kLater; the frame stays in the receive
// buffer, nothing more is received, and TCP slows the other side down. resume() tries again.
//
// Life: close() may be called at any time, also from inside on_frame(). The object must stay until
// gone(): operations in flight still point into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/io/io.h"
#include "engine/shard/send_queue.h"
#include "wire/frame.h"
#include "wire/ids.h"

namespace sluice::shard {

class Connection {
 public:
  enum class Taken : std::uint8_t {
    kYes,
    kLater,  // keep the frame and ask again at resume()
    kMoved,  // the socket goes elsewhere: take it with release()
    kClose,  // nonsense: close the connection
  };

  class Owner {
   public:
    virtual ~Owner() = default;
    virtual Taken on_frame(Connection& connection, const FrameView& frame) = 0;
    /// Everything gathered was sent: more may be produced.
    virtual void on_sent(Connection& connection) = 0;
    /// The connection is closing, for whatever reason; called once.
    virtual void on_closing(Connection& connection) = 0;
  };

  struct Options {
    std::size_t frame_bytes_max = 0;
    std::size_t receive_bytes = 64u << 10;  // first size of the receive buffer
  };

  Connection(io::Io& io, io::Handle socket, Options options, Owner& owner);
  ~Connection();

  /// Begins to receive; `received` are bytes that somebody else received on this socket already.
  void start(std::span<const std::byte> received = {});

  /// Tries again to hand out the frame that was not taken.
  void resume();
  [[nodiscard]] bool stalled() const { return stalled_; }

  /// Sends what gathered, if no send is in flight.
  void pump();
  [[nodiscard]] SendQueue& out() { return out_; }
  /// Nothing gathers and nothing is in flight, or a new generation may be filled.
  [[nodiscard]] bool can_gather() const { return out_.idle() && !out_.has_gathered(); }

  void close();
  [[nodiscard]] bool closing() const { return closing_; }
  /// Closed, with nothing in flight any more: may be destroyed.
  [[nodiscard]] bool gone() const {
    return closing_ && !recv_.pending() && !send_.pending() && !parsing_;
  }

  /// After kMoved: the socket and every byte received from the beginning of the frame that moved
  /// it. This connection is closing then, without its socket.
  struct Moved {
    io::Handle socket = io::Handle::kNone;
    std::vector<std::byte> received;
  };
  [[nodiscard]] Moved release();

  /// The frame's bytes, writable: they lie in this connection's own buffer.
  [[nodiscard]] std::span<std::byte> writable(std::span<const std::byte> bytes) const {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
  }

  /// Where the owner stands in the frame that it could not take whole. Zero for a new frame.
  struct Cursor {
    std::uint32_t item = 0;
    std::size_t offset = 0;       // in FrameView::batches
    std::size_t item_offset = 0;  // of those, within the item
    Index prev_index;
    Term prev_term;
  } cursor;

  /// The owner's own mark.
  std::uint32_t tag = 0;

  /// From now on frames may be so large (small ones do until somebody has said hello).
  void allow_frames(std::size_t bytes_max) { options_.frame_bytes_max = bytes_max; }

  /// What is being sent has been under way for long, though bytes may move.
  [[nodiscard]] bool send_is_slow() const;
  /// A send has been under way for long without a byte moving.
  [[nodiscard]] bool send_is_stuck() const;

  [[nodiscard]] std::size_t memory_bytes() const { return capacity_ + out_.queued_bytes(); }
  [[nodiscard]] std::uint64_t opened_ns() const { return opened_ns_; }

 private:
  void receive();
  void on_received(std::int32_t result);
  void on_sent(std::int32_t result);
  void parse();
  void make_room(std::size_t frame_bytes);

  io::Io& io_;
  io::Handle socket_;
  Options options_;
  Owner& owner_;
  io::Completion recv_{io::Completion::bind<&Connection::on_received>(this)};
  io::Completion send_{io::Completion::bind<&Connection::on_sent>(this)};
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0, end_ = 0;  // of the bytes not yet consumed
  SendQueue out_;
  bool closing_ = false;
  bool stalled_ = false;
  bool parsing_ = false;
  std::uint64_t opened_ns_ = 0;
  std::uint64_t send_began_ns_ = 0;
  std::uint64_t last_sent_ns_ = 0;
};

}  // namespace sluice::shard
