#include "tests/client/fake_node.h"

#include <gtest/gtest.h>

#include "tests/client/allocations.h"
#include "wire/checksum.h"

namespace sluice::client {
namespace {

constexpr std::size_t kFrameBytesMax = 32u << 20;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::vector<std::byte> sealed_batch(std::string_view cluster, GroupId group, Index first, Term term,
                                    const std::vector<std::string>& entries, BatchKind kind) {
  std::vector<std::byte> buffer(1u << 16);
  BatchBuilder builder(buffer, {.cluster = cluster_id_of(cluster), .group = group, .kind = kind});
  for (const std::string& entry : entries) {
    EXPECT_TRUE(builder.append(std::as_bytes(std::span(entry))));
  }
  buffer.resize(builder.finish().size_bytes());
  seal_batch(buffer, {.term = term, .first_index = first});
  return buffer;
}

Received FakeNode::take() {
  EXPECT_FALSE(appends.empty()) << "node " << id.value() << " has got no batch";
  if (appends.empty()) return {};
  Received first = appends.front();
  appends.erase(appends.begin());
  return first;
}

void FakeNode::ok_part(const Received& batch, std::uint32_t offset, std::uint32_t count,
                       std::uint64_t first_index, std::uint64_t term) {
  const NotCounted guard;
  flatbuffers::FlatBufferBuilder envelope;
  const std::vector<wire::AppendResult> results{
      {batch.request_id, first_index, term, 0, offset, count, id.value(), 0, 0}};
  const auto vector = envelope.CreateVectorOfStructs(results);
  envelope.Finish(wire::CreateClientAppendReply(envelope, vector));
  send_frame(batch.socket, FrameKind::kClientAppendReply, envelope);
}

void FakeNode::refuse_part(const Received& batch, std::uint32_t offset, std::uint32_t count,
                           Errc code, std::uint32_t leader, std::uint64_t expected) {
  flatbuffers::FlatBufferBuilder envelope;
  const std::vector<wire::AppendResult> results{{batch.request_id, 0, 0, expected, offset, count,
                                                 leader, static_cast<std::uint16_t>(code), 0}};
  const auto vector = envelope.CreateVectorOfStructs(results);
  envelope.Finish(wire::CreateClientAppendReply(envelope, vector));
  send_frame(batch.socket, FrameKind::kClientAppendReply, envelope);
}

void FakeNode::reply_read(int socket, std::uint64_t request_id, Errc code, std::uint64_t commit,
                          std::uint64_t first, const std::vector<std::vector<std::byte>>& batches) {
  std::vector<std::byte> bytes;
  for (const auto& batch : batches) bytes.insert(bytes.end(), batch.begin(), batch.end());
  flatbuffers::FlatBufferBuilder envelope;
  envelope.Finish(wire::CreateClientReadReply(envelope, request_id,
                                              static_cast<std::uint16_t>(code), commit, first, 0,
                                              static_cast<std::uint32_t>(bytes.size())));
  send_frame(socket, FrameKind::kClientReadReply, envelope, bytes);
}

std::vector<std::byte> FakeNode::frame_of(FrameKind kind, flatbuffers::FlatBufferBuilder& envelope,
                                          std::span<const std::byte> batches) {
  const auto bytes = std::as_bytes(std::span(envelope.GetBufferPointer(), envelope.GetSize()));
  std::vector<std::byte> frame(frame_prefix_bytes(bytes.size()));
  write_frame_prefix(frame, kind, bytes, batches.size());
  frame.insert(frame.end(), batches.begin(), batches.end());
  return frame;
}

void FakeNode::send_frame(int socket, FrameKind kind, flatbuffers::FlatBufferBuilder& envelope,
                          std::span<const std::byte> batches) {
  io_.peer_sends(socket, frame_of(kind, envelope, batches));
}

void FakeNode::hang_up() {
  for (const auto& [socket, peer] : peers_) io_.peer_closes(socket);
  peers_.clear();
}

FakePeer::Dial FakeNode::on_dial(int socket) {
  if (dial == Dial::kAccepted) peers_[socket];
  return dial;
}

void FakeNode::on_bytes(int socket, std::span<const std::byte> bytes) {
  const auto at = peers_.find(socket);
  if (at == peers_.end()) return;
  std::vector<std::byte>& gathered = at->second.bytes;
  gathered.insert(gathered.end(), bytes.begin(), bytes.end());
  while (true) {
    const auto size = frame_size(gathered, kFrameBytesMax);
    if (!size && size.error() == Errc::kTruncated) return;
    if (size && *size > gathered.size()) return;
    const auto frame = parse_frame(gathered, kFrameBytesMax);
    ASSERT_TRUE(frame.has_value()) << "the client sent nonsense";
    on_frame(socket, *frame);
    gathered.erase(gathered.begin(),
                   gathered.begin() + static_cast<std::ptrdiff_t>(frame->size_bytes));
  }
}

void FakeNode::on_frame(int socket, const FrameView& frame) {
  switch (frame.kind) {
    case FrameKind::kHello:
      return on_hello(socket, **envelope_as<wire::Hello>(frame));
    case FrameKind::kClientAppend:
      return on_append_frame(socket, frame);
    case FrameKind::kClientRead:
      if (on_read) on_read(socket, **envelope_as<wire::ClientRead>(frame));
      return;
    case FrameKind::kClientStatus:
      if (on_status) {
        on_status(socket, peers_[socket].shard, **envelope_as<wire::ClientStatus>(frame));
      }
      return;
    case FrameKind::kClientTrim:
      if (on_trim) on_trim(socket, **envelope_as<wire::ClientTrim>(frame));
      return;
    default:
      FAIL() << "unexpected frame";
  }
}

void FakeNode::on_hello(int socket, const wire::Hello& hello) {
  ++hellos;
  EXPECT_EQ(hello.role(), wire::Role::Client);
  hello_names.push_back(hello.cluster_name() ? hello.cluster_name()->str() : "");
  hello_sockets.push_back(socket);
  peers_[socket].shard = ShardId(hello.shard());
  if (!greets) return;
  flatbuffers::FlatBufferBuilder envelope;
  const auto message = envelope.CreateString("");
  const auto name = envelope.CreateString(cluster);
  const auto policy = envelope.CreateString("always");
  wire::HelloReplyBuilder reply(envelope);
  reply.add_code(static_cast<std::uint16_t>(hello_code));
  reply.add_message(message);
  reply.add_cluster_name(name);
  reply.add_cluster(cluster_id_of(cluster).value());
  reply.add_node_id(id.value());
  reply.add_shard(hello.shard());
  reply.add_shards(shards);
  reply.add_groups(groups);
  reply.add_batch_bytes_max(batch_bytes_max);
  reply.add_fsync_policy(policy);
  envelope.Finish(reply.Finish());
  send_frame(socket, FrameKind::kHelloReply, envelope);
}

void FakeNode::on_append_frame(int socket, const FrameView& frame) {
  const auto table = envelope_as<wire::ClientAppend>(frame);
  ASSERT_TRUE(table.has_value());
  ASSERT_LE(frame.batches.size(), batch_bytes_max) << "no node takes frames that large";
  std::span<const std::byte> batches = frame.batches;
  for (const wire::AppendItem* item : *(*table)->items()) {
    std::vector<std::byte> bytes(batches.begin(), batches.begin() + item->batch_bytes());
    batches = batches.subspan(item->batch_bytes());
    const auto batch = BatchView::parse(bytes, batch_bytes_max);
    ASSERT_TRUE(batch.has_value()) << code_name(batch.error());
    EXPECT_EQ(batch->size_bytes(), item->batch_bytes());
    EXPECT_EQ(batch->cluster(), cluster_id_of(cluster));
    EXPECT_EQ(batch->group().value(), item->group());
    Received received{.socket = socket,
                      .shard = peers_[socket].shard,
                      .request_id = item->request_id(),
                      .group = batch->group(),
                      .producer = batch->producer(),
                      .first_sequence = batch->first_sequence(),
                      .entries = {},
                      .size_bytes = batch->size_bytes(),
                      .frame = append_frames};
    EXPECT_EQ(received.shard.value(), received.group.value() % shards);
    for (const auto entry : *batch) received.entries.push_back(text_of(entry));
    if (on_append) {
      on_append(received);
    } else {
      appends.push_back(std::move(received));
    }
  }
  EXPECT_TRUE(batches.empty());
  ++append_frames;
}

}  // namespace sluice::client
