// wire/README.md shows whole frames as hex, for whoever writes a client in another language. They
// are the very bytes that this code makes and reads: an example that went stale fails here.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/wire/messages_samples.h"
#include "wire/batch.h"
#include "wire/checksum.h"

namespace sluice::test {
namespace {

/// The bytes of the hexdump behind "<!-- example: NAME -->": on each line an offset, at most 16
/// bytes, then an explanation behind two blanks and a bar.
Bytes example(const std::string& name) {
  std::ifstream file(SLUICE_WIRE_README);
  std::string line, hex;
  while (std::getline(file, line) && line != "<!-- example: " + name + " -->") {
  }
  EXPECT_TRUE(std::getline(file, line) && line == "```") << name << " is not in the README";
  while (std::getline(file, line) && line != "```") {
    EXPECT_EQ(line.substr(0, line.find(' ')).size(), 4u) << line;
    hex += line.substr(4, line.find('|') - 4);
  }
  return from_hex(hex);
}

Bytes frame_of(FrameKind kind, const Bytes& envelope, const Bytes& batches = {}) {
  Bytes frame(frame_prefix_bytes(envelope.size()));
  write_frame_prefix(frame, kind, envelope, batches.size());
  frame.insert(frame.end(), batches.begin(), batches.end());
  return frame;
}

Bytes unsealed_batch() {
  Bytes buffer(256);
  BatchBuilder builder(buffer, {.cluster = cluster_id_of("demo"),
                                .group = GroupId(3),
                                .producer = ProducerId(7),
                                .first_sequence = Sequence(1)});
  EXPECT_TRUE(builder.append(bytes_of("hello")));
  EXPECT_TRUE(builder.append(bytes_of("sluice")));
  buffer.resize(builder.finish().size_bytes());
  return buffer;
}

Bytes sealed_batch() {
  Bytes batch = unsealed_batch();
  seal_batch(batch, {.term = Term(2),
                     .first_index = Index(5),
                     .previous_checksum = 0x1122334455667788,
                     .timestamp_ns = 1'700'000'000'000'000'000});
  return batch;
}

TEST(WireReadme, Hello) {
  const Bytes envelope = envelope_of([](auto& fbb) {
    fbb.Finish(
        wire::CreateHelloDirect(fbb, wire::Role::Client, "demo", cluster_id_of("demo").value()));
  });
  EXPECT_EQ(to_hex(example("hello")), to_hex(frame_of(FrameKind::kHello, envelope)));
}

TEST(WireReadme, BatchUnsealed) {
  EXPECT_EQ(to_hex(example("batch-unsealed")), to_hex(unsealed_batch()));
}

TEST(WireReadme, BatchSealed) {
  EXPECT_EQ(to_hex(example("batch-sealed")), to_hex(sealed_batch()));
}

TEST(WireReadme, Append) {
  const Bytes envelope = envelope_of([](auto& fbb) {
    const std::vector<wire::AppendItem> items{{1, 3, 120}};
    fbb.Finish(wire::CreateClientAppendDirect(fbb, &items));
  });
  Bytes frame = frame_of(FrameKind::kClientAppend, envelope, unsealed_batch());
  const Bytes batch = unsealed_batch();
  frame.resize(frame.size() - batch.size());  // the README does not repeat the batch
  EXPECT_EQ(to_hex(example("append")), to_hex(frame));
}

TEST(WireReadme, AppendReply) {
  const Bytes envelope = envelope_of([](auto& fbb) {
    const std::vector<wire::AppendResult> results{{1, 5, 2, 0, 0, 2, 1, 0, 0}};
    fbb.Finish(wire::CreateClientAppendReplyDirect(fbb, &results));
  });
  EXPECT_EQ(to_hex(example("append-reply")),
            to_hex(frame_of(FrameKind::kClientAppendReply, envelope)));
}

TEST(WireReadme, Read) {
  const Bytes envelope =
      envelope_of([](auto& fbb) { fbb.Finish(wire::CreateClientRead(fbb, 2, 3, 5, 100)); });
  EXPECT_EQ(to_hex(example("read")), to_hex(frame_of(FrameKind::kClientRead, envelope)));
}

TEST(WireReadme, Status) {
  const Bytes envelope =
      envelope_of([](auto& fbb) { fbb.Finish(wire::CreateClientStatus(fbb, 0x0102030405060708)); });
  EXPECT_EQ(to_hex(example("status")), to_hex(frame_of(FrameKind::kClientStatus, envelope)));
}

}  // namespace
}  // namespace sluice::test
