// A node that does what the test says: it reads the client's frames, answers the hello by itself
// and leaves the rest to the test.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/client/fake_io.h"
#include "wire/batch.h"
#include "wire/frame.h"

namespace sluice::client {

/// One batch that arrived.
struct Received {
  int socket = 0;
  ShardId shard;  // of the connection
  std::uint64_t request_id = 0;
  GroupId group;
  ProducerId producer;
  Sequence first_sequence;
  std::vector<std::string> entries;
  std::size_t size_bytes = 0;
  std::size_t frame = 0;  // counts the node's append frames

  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(entries.size()); }
};

/// A sealed batch as a node returns it.
[[nodiscard]] std::vector<std::byte> sealed_batch(std::string_view cluster, GroupId group,
                                                  Index first, Term term,
                                                  const std::vector<std::string>& entries,
                                                  BatchKind kind = BatchKind::kData);

class FakeNode final : public FakePeer {
 public:
  FakeNode(FakeIo& io, std::uint32_t number) : id(number), io_(io) {}

  NodeId id;
  std::string cluster = "test";
  std::uint32_t shards = 1;
  std::uint32_t groups = 4;
  std::uint32_t batch_bytes_max = 1u << 20;
  Dial dial = Dial::kAccepted;
  bool greets = true;
  Errc hello_code = Errc::kOk;

  // What arrived, unless the handlers below take it.
  std::vector<Received> appends;
  std::size_t append_frames = 0;
  std::size_t hellos = 0;
  std::size_t garbage = 0;  // frames that make no sense
  std::vector<std::string> hello_names;
  std::vector<int> hello_sockets;

  std::function<void(const Received&)> on_append;
  std::function<void(int socket, const wire::ClientRead&)> on_read;
  std::function<void(int socket, ShardId, const wire::ClientStatus&)> on_status;
  std::function<void(int socket, const wire::ClientTrim&)> on_trim;

  /// Takes the oldest batch that arrived.
  Received take();
  void ok(const Received& batch, std::uint64_t first_index, std::uint64_t term = 1) {
    ok_part(batch, 0, batch.count(), first_index, term);
  }
  void ok_part(const Received& batch, std::uint32_t offset, std::uint32_t count,
               std::uint64_t first_index, std::uint64_t term = 1);
  void refuse(const Received& batch, Errc code, std::uint32_t leader = 0,
              std::uint64_t expected = 0) {
    refuse_part(batch, 0, batch.count(), code, leader, expected);
  }
  void refuse_part(const Received& batch, std::uint32_t offset, std::uint32_t count, Errc code,
                   std::uint32_t leader = 0, std::uint64_t expected = 0);
  void reply_read(int socket, std::uint64_t request_id, Errc code, std::uint64_t commit,
                  std::uint64_t first, const std::vector<std::vector<std::byte>>& batches = {});
  [[nodiscard]] static std::vector<std::byte> frame_of(FrameKind kind,
                                                       flatbuffers::FlatBufferBuilder& envelope,
                                                       std::span<const std::byte> batches = {});
  void send_frame(int socket, FrameKind kind, flatbuffers::FlatBufferBuilder& envelope,
                  std::span<const std::byte> batches = {});
  void send_raw(int socket, std::span<const std::byte> bytes) { io_.peer_sends(socket, bytes); }
  /// Breaks all connections.
  void hang_up();

  Dial on_dial(int socket) override;
  void on_bytes(int socket, std::span<const std::byte> bytes) override;

 private:
  struct Peer {
    std::vector<std::byte> bytes;
    ShardId shard;
  };
  void on_frame(int socket, const FrameView& frame);
  void on_hello(int socket, const wire::Hello& hello);
  void on_append_frame(int socket, const FrameView& frame);

  FakeIo& io_;
  std::map<int, Peer> peers_;
};

}  // namespace sluice::client
