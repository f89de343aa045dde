#include "engine/client/connection.h"

#include <algorithm>
#include <cstring>

#include "wire/check.h"

namespace sluice::client {
namespace {

constexpr std::size_t kReceiveBytes = 64u << 10;
constexpr std::size_t kReceiveBytesKept = 4u << 20;  // a larger buffer is given back when empty
/// More than this no node may allow for a batch, whatever it says.
constexpr std::size_t kBatchBytesMost = 16u << 20;
constexpr std::size_t kSlicesMax = 1024;  // IOV_MAX

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kPauseMinNs = 20 * kMillisecond;
constexpr std::uint64_t kPauseMaxNs = 500 * kMillisecond;
constexpr std::uint64_t kDialTimeoutNs = 1000 * kMillisecond;
constexpr std::uint64_t kSilenceNs = 1000 * kMillisecond;
/// A silent connection on which no answer is due is kept a little: what was taken back from it and
/// asked elsewhere may still be answered.
constexpr std::uint64_t kGiveUpNs = 2000 * kMillisecond;

}  // namespace

Connection::Connection(io::Io& io, Owner& owner, const io::Endpoint& endpoint, Place place)
    : io_(io), owner_(owner), endpoint_(endpoint), place_(place) {}

void Connection::want() {
  if (state_ != State::kDown || stopped_ || io_.now_ns() < retry_at_ns_) return;
  SLUICE_CHECK(answers_due_ == 0);
  asked_ = false;
  state_ = State::kConnecting;
  dialled_ns_ = quiet_since_ns_ = io_.now_ns();
  io_.connect(connect_, endpoint_);
}

void Connection::on_connect(std::int32_t result) {
  if (result >= 0) socket_ = io::Handle{result};
  if (state_ == State::kBreaking) {
    finish_breaking();
  } else if (result < 0) {
    lose(Errc::kUnreachable);
  } else {
    greet();
  }
  owner_.on_handler_end();
}

void Connection::greet() {
  state_ = State::kGreeting;
  if (!received_) {
    received_.reset(new std::byte[kReceiveBytes]);
    capacity_bytes_ = kReceiveBytes;
  }
  begin_ = end_ = 0;
  frame_bytes_max_ = kFrameHeaderBytes + kEnvelopeBytesMax;
  submit_recv();
  out_.clear();
  owner_.write_hello(*this, out_);
  out_.add_frame(FrameKind::kHello);
  submit_send();
}

void Connection::pump() {
  if (state_ != State::kReady || send_.pending()) return;
  out_.clear();
  owner_.fill(*this, out_);
  if (out_.empty()) return;
  submit_send();
}

void Connection::submit_send() { io_.send(send_, socket_, out_.slices(kSlicesMax)); }

void Connection::on_send(std::int32_t result) {
  if (state_ == State::kBreaking) {
    owner_.on_send_over(*this);
    finish_breaking();
  } else if (result <= 0) {
    owner_.on_send_over(*this);
    lose(Errc::kConnectionLost);
  } else if (!out_.consume(static_cast<std::size_t>(result))) {
    submit_send();
  } else {
    owner_.on_send_over(*this);
    pump();
  }
  owner_.on_handler_end();
}

void Connection::submit_recv() {
  io_.recv(recv_, socket_, {received_.get() + end_, capacity_bytes_ - end_});
}

void Connection::on_recv(std::int32_t result) {
  if (state_ == State::kBreaking) {
    finish_breaking();
  } else if (result <= 0) {
    lose(state_ == State::kReady ? Errc::kConnectionLost : Errc::kUnreachable);
  } else {
    end_ += static_cast<std::size_t>(result);
    quiet_since_ns_ = io_.now_ns();
    asked_ = false;
    parsing_ = true;
    parse_frames();
    parsing_ = false;
    asked_ = answers_due_ > 0;
    if (state_ == State::kBreaking) {
      finish_breaking();
    } else {
      submit_recv();
    }
  }
  owner_.on_handler_end();
}

/// Takes the whole frames out of the receive buffer and leaves room for the rest of the last one.
void Connection::parse_frames() {
  std::size_t wanted_bytes = kFrameHeaderBytes;
  while (coming() || ready()) {
    const std::span<const std::byte> bytes(received_.get() + begin_, end_ - begin_);
    const Result<std::size_t> size = frame_size(bytes, frame_bytes_max_);
    if (!size && size.error() == Errc::kTruncated) break;
    if (size && *size > bytes.size()) {
      wanted_bytes = *size;
      break;
    }
    const Result<FrameView> frame =
        size ? parse_frame(bytes, frame_bytes_max_) : fail(size.error());
    if (!frame || !on_parsed(*frame)) {
      // What comes after nonsense cannot be trusted either (S45). The node may live on.
      if (!frame && frame.error() == Errc::kBadVersion) {
        lose(Errc::kBadVersion);
      } else {
        lose(ready() ? Errc::kConnectionLost : Errc::kUnreachable);
      }
      return;
    }
    begin_ += frame->size_bytes;
  }
  make_room(wanted_bytes);
}

/// False: the frame makes no sense here.
bool Connection::on_parsed(const FrameView& frame) {
  if (ready()) return owner_.on_frame(*this, frame);
  if (frame.kind != FrameKind::kHelloReply) return false;
  const Result<const wire::HelloReply*> reply = envelope_as<wire::HelloReply>(frame);
  if (!reply) return false;
  const Errc verdict = owner_.on_hello(*this, **reply);
  if (verdict != Errc::kOk) {
    lose(verdict);
    return true;
  }
  state_ = State::kReady;
  failures_ = 0;
  frame_bytes_max_ += std::min<std::size_t>((*reply)->batch_bytes_max(), kBatchBytesMost);
  owner_.on_ready(*this);
  return true;
}

/// Makes sure that a frame of `frame_bytes` (within the bound), whose front lies at begin_, fits.
void Connection::make_room(std::size_t frame_bytes) {
  const std::size_t have_bytes = end_ - begin_;
  if (have_bytes == 0) begin_ = end_ = 0;
  std::size_t capacity_bytes = capacity_bytes_;
  if (frame_bytes > capacity_bytes) {
    capacity_bytes = frame_bytes;
  } else if (have_bytes == 0 && capacity_bytes > kReceiveBytesKept) {
    capacity_bytes = kReceiveBytes;
  } else if (begin_ + frame_bytes <= capacity_bytes && end_ < capacity_bytes) {
    return;
  }
  if (capacity_bytes != capacity_bytes_) {
    std::unique_ptr<std::byte[]> other(new std::byte[capacity_bytes]);
    if (have_bytes > 0) std::memcpy(other.get(), received_.get() + begin_, have_bytes);
    received_ = std::move(other);
    capacity_bytes_ = capacity_bytes;
  } else {
    std::memmove(received_.get(), received_.get() + begin_, have_bytes);
  }
  begin_ = 0;
  end_ = have_bytes;
}

void Connection::lose(Errc why) {
  if (state_ == State::kDown || state_ == State::kBreaking) return;
  state_ = State::kBreaking;
  ++failures_;
  if (connect_.pending()) io_.cancel(connect_);
  if (socket_ != io::Handle::kNone) io_.shutdown(socket_);
  owner_.on_lost(*this, why);
  finish_breaking();
}

/// Down at last, once nothing refers to the socket any more. Called again by each completion.
void Connection::finish_breaking() {
  if (state_ != State::kBreaking || parsing_) return;
  if (connect_.pending() || recv_.pending() || send_.pending()) return;
  if (socket_ != io::Handle::kNone) io_.close(socket_);
  socket_ = io::Handle::kNone;
  received_.reset();
  capacity_bytes_ = 0;
  set_pause();
  state_ = State::kDown;
}

/// Failures in a row: 20 ms, 40 ms, ... 500 ms, less up to a quarter so that many clients spread.
void Connection::set_pause() {
  const std::uint32_t doublings = std::min(failures_ > 0 ? failures_ - 1 : 0u, 5u);
  const std::uint64_t pause_ns = std::min(kPauseMinNs << doublings, kPauseMaxNs);
  retry_at_ns_ = io_.now_ns() + pause_ns - io_.random() % (pause_ns / 4);
}

void Connection::stop() {
  stopped_ = true;
  lose(Errc::kConnectionLost);
}

void Connection::check_time(std::uint64_t now_ns) {
  if (coming() && now_ns >= dialled_ns_ + kDialTimeoutNs) {
    lose(Errc::kUnreachable);
  } else if (silent(now_ns) && answers_due_ == 0 && now_ns >= quiet_since_ns_ + kGiveUpNs) {
    lose(Errc::kConnectionLost);
  }
}

// --- silence -------------------------------------------------------------------------------------

void Connection::expect() {
  if (!asked_) quiet_since_ns_ = io_.now_ns();
  asked_ = true;
  ++answers_due_;
}

void Connection::expect_no_more() {
  SLUICE_CHECK(answers_due_ > 0);
  --answers_due_;
}

bool Connection::silent(std::uint64_t now_ns) const {
  return ready() && asked_ && now_ns >= quiet_since_ns_ + kSilenceNs;
}

}  // namespace sluice::client
