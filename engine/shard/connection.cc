#include "engine/shard/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::shard {
namespace {
constexpr std::uint64_t kStuckNs = 200'000'000;
constexpr std::uint64_t kSlowNs = 1'000'000'000;
}  // namespace

Connection::Connection(io::Io& io, io::Handle socket, Options options, Owner& owner)
    : io_(io), socket_(socket), options_(options), owner_(owner) {
  capacity_ = options_.receive_bytes;
  buffer_ = std::make_unique_for_overwrite<std::byte[]>(capacity_);
  opened_ns_ = io_.now_ns();
}

Connection::~Connection() {
  if (socket_ != io::Handle::kNone) io_.close(socket_);
}

void Connection::start(std::span<const std::byte> received) {
  if (!received.empty()) {
    make_room(received.size());
    std::memcpy(buffer_.get(), received.data(), received.size());
    end_ = received.size();
  }
  parse();
}

void Connection::resume() {
  if (!stalled_ || closing_) return;
  stalled_ = false;
  parse();
}

void Connection::receive() {
  if (closing_ || stalled_ || recv_.pending()) return;
  if (begin_ == end_) begin_ = end_ = 0;
  // Frames begin at multiples of 8 in the buffer: their sizes are, and so is where it starts.
  io_.recv(recv_, socket_, {buffer_.get() + end_, capacity_ - end_});
}

void Connection::on_received(std::int32_t result) {
  if (closing_) return;
  if (result <= 0) {
    close();
    return;
  }
  end_ += static_cast<std::size_t>(result);
  parse();
}

void Connection::make_room(std::size_t frame_bytes) {
  if (begin_ > 0 && (begin_ == end_ || begin_ + frame_bytes > capacity_)) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (frame_bytes <= capacity_) return;
  // Grows to what one frame needs, which frame_size() bounded before anything was allocated (S44).
  std::size_t larger = capacity_;
  while (larger < frame_bytes) larger *= 2;
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(larger);
  std::memcpy(buffer.get(), buffer_.get() + begin_, end_ - begin_);
  buffer_ = std::move(buffer);
  capacity_ = larger;
  end_ -= begin_;
  begin_ = 0;
}

void Connection::parse() {
  parsing_ = true;
  while (!closing_) {
    const std::span<const std::byte> bytes(buffer_.get() + begin_, end_ - begin_);
    const auto size = frame_size(bytes, options_.frame_bytes_max);
    if (!size) {
      if (size.error() != Errc::kTruncated)
        close();
      else
        make_room(kFrameHeaderBytes);
      break;
    }
    if (bytes.size() < *size) {
      make_room(*size);
      break;
    }
    const auto frame = parse_frame(bytes, options_.frame_bytes_max);
    if (!frame) {
      close();
      break;
    }
    const Taken taken = owner_.on_frame(*this, *frame);
    if (taken == Taken::kLater) {
      stalled_ = true;
      break;
    }
    if (taken == Taken::kMoved) break;
    if (taken == Taken::kClose) {
      close();
      break;
    }
    begin_ += *size;
    cursor = {};
  }
  parsing_ = false;
  receive();
}

Connection::Moved Connection::release() {
  Moved moved;
  moved.socket = std::exchange(socket_, io::Handle::kNone);
  moved.received.assign(buffer_.get() + begin_, buffer_.get() + end_);
  closing_ = true;
  return moved;
}

void Connection::pump() {
  if (closing_ || send_.pending() || !out_.has_gathered()) return;
  out_.begin();
  send_began_ns_ = last_sent_ns_ = io_.now_ns();
  io_.send(send_, socket_, out_.pending());
}

void Connection::on_sent(std::int32_t result) {
  if (closing_) {
    out_.drop_all();
    return;
  }
  if (result <= 0) {
    close();
    return;
  }
  last_sent_ns_ = io_.now_ns();
  if (!out_.advance(static_cast<std::size_t>(result))) {
    io_.send(send_, socket_, out_.pending());
    return;
  }
  owner_.on_sent(*this);
  pump();
}

bool Connection::send_is_stuck() const {
  return send_.pending() && io_.now_ns() - last_sent_ns_ > kStuckNs;
}

bool Connection::send_is_slow() const {
  return send_.pending() && io_.now_ns() - send_began_ns_ > kSlowNs;
}

void Connection::close() {
  if (closing_) return;
  closing_ = true;
  // Pending operations complete now; their buffers stay until they did.
  io_.shutdown(socket_);
  if (!send_.pending()) out_.drop_all();
  owner_.on_closing(*this);
}

}  // namespace sluice::shard
