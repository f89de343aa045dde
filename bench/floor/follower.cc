#include "bench/floor/follower.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace sluice::floor {
namespace {

enum Tag : std::uint64_t { kReceived = 1, kSent = 2, kWritten = 16 };

constexpr std::uint64_t kRingBytesMin = 8u << 20;
constexpr std::uint64_t kReceiveBytesMax = 1u << 20;

}  // namespace

Follower::Follower(const Options& options)
    : options_(options),
      stream_(std::max<std::uint64_t>(kRingBytesMin, 4ull * options.batch_bytes_max)),
      disk_(options, stream_, kWritten) {}

nlohmann::ordered_json Follower::run(int socket) {
  socket_ = socket;
  for (;;) {
    submit();
    if (closed_ && disk_.durable_end() == received_end_) break;
    uring_.enter();
    uring_.drain([this](std::uint64_t tag, int result) { handle(tag, result); });
  }
  if (verified_end_ != received_end_)
    throw std::runtime_error("the connection ended within a batch");
  const auto writes = static_cast<double>(std::max<std::uint64_t>(1, disk_.writes()));
  return {{"entries", verified_sequence_},
          {"batches", batches_},
          {"writes", disk_.writes()},
          {"written_bytes", disk_.written_bytes()},
          {"acks", acks_},
          {"entries_per_write", static_cast<double>(verified_sequence_) / writes}};
}

void Follower::handle(std::uint64_t tag, int result) {
  if (tag >= kWritten) return disk_.on_written(tag, result);
  if (tag == kReceived) return on_received(result);
  sending_ = false;
  if (result != sizeof(Ack) && !closed_)
    throw std::runtime_error(fmt::format("sending to the leader: {}", std::strerror(-result)));
}

void Follower::on_received(int result) {
  receiving_ = false;
  if (result < 0) throw std::runtime_error(fmt::format("receiving: {}", std::strerror(-result)));
  closed_ = result == 0;
  received_end_ += static_cast<std::uint64_t>(result);
  verify_batches();
}

void Follower::verify_batches() {
  const std::uint64_t one_bytes = sizeof(EntryLength) + options_.entry_bytes;
  BatchHeader header;
  while (received_end_ - verified_end_ >= sizeof header) {
    std::memcpy(&header, stream_.at(verified_end_), sizeof header);
    if (header.magic != BatchHeader::kMagic || header.first_sequence != verified_sequence_ ||
        header.payload_bytes > options_.batch_bytes_max ||
        header.payload_bytes != header.entries * one_bytes)
      throw std::runtime_error(
          fmt::format("entry {} was to come next, and what came is not its batch (magic {:x}, "
                      "first entry {}, {} entries in {} bytes)",
                      verified_sequence_, header.magic, header.first_sequence, header.entries,
                      header.payload_bytes));
    const std::uint64_t payload = verified_end_ + sizeof header;
    if (received_end_ - payload < header.payload_bytes) return;
    if (payload_checksum(stream_.at(payload), header.payload_bytes, header.first_sequence) !=
        header.checksum)
      throw std::runtime_error(
          fmt::format("the batch of entry {} is not what its checksum says", verified_sequence_));
    verified_end_ = payload + header.payload_bytes;
    verified_sequence_ += header.entries;
    ++batches_;
  }
}

void Follower::submit() {
  if (disk_.takes(verified_end_ - disk_.submitted_end()))
    disk_.write(uring_, verified_end_, verified_sequence_);
  if (!sending_ && !closed_ && disk_.durable_sequence() > ack_.sequence) {
    ack_.sequence = disk_.durable_sequence();
    uring_.send(socket_, &ack_, sizeof ack_, kSent);
    sending_ = true;
    ++acks_;
  }
  // The block that the oldest write shares with its predecessor is still read from memory.
  const std::uint64_t free_bytes =
      stream_.size_bytes() - (received_end_ - align_down(disk_.durable_end()));
  if (!receiving_ && !closed_ && free_bytes > 0) {
    uring_.recv(socket_, stream_.at(received_end_), std::min(free_bytes, kReceiveBytesMax),
                kReceived);
    receiving_ = true;
  }
}

}  // namespace sluice::floor
