"""Reads event files of TensorBoard with Google's protobuf: prints every event as JSON. Checks lengths and checksums of the records."""

import json
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2

F = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name='events.proto', package='t', syntax='proto3')
file.dependency.append(struct_pb2.DESCRIPTOR.name)
TYPES = {'double': F.TYPE_DOUBLE, 'float': F.TYPE_FLOAT, 'int64': F.TYPE_INT64, 'int32': F.TYPE_INT32,
         'string': F.TYPE_STRING, 'bytes': F.TYPE_BYTES}


def message(name, *fields):
    made = file.message_type.add(name=name)
    for number, kind, field in fields:
        many = kind.startswith('*')
        kind = kind.lstrip('*')
        one = made.field.add(name=field, number=number, label=F.LABEL_REPEATED if many else F.LABEL_OPTIONAL)
        if kind in TYPES:
            one.type = TYPES[kind]
        else:
            one.type, one.type_name = F.TYPE_MESSAGE, kind if kind.startswith('.') else '.t.' + kind
    return made


message('Event', (1, 'double', 'wall_time'), (2, 'int64', 'step'), (3, 'string', 'file_version'),
        (5, 'Summary', 'summary'), (7, 'SessionLog', 'session_log'))
message('SessionLog', (1, 'int32', 'status'))
message('Summary', (1, '*Value', 'value'))
message('Value', (1, 'string', 'tag'), (2, 'float', 'simple_value'), (4, 'Image', 'image'), (5, 'Histogram', 'histo'),
        (8, 'Tensor', 'tensor'), (9, 'Metadata', 'metadata'))
message('Image', (1, 'int32', 'height'), (2, 'int32', 'width'), (3, 'int32', 'colorspace'), (4, 'bytes', 'encoded'))
message('Histogram', (1, 'double', 'min'), (2, 'double', 'max'), (3, 'double', 'num'), (4, 'double', 'sum'),
        (5, 'double', 'sum_squares'), (6, '*double', 'bucket_limit'), (7, '*double', 'bucket'))
message('Tensor', (1, 'int32', 'dtype'), (2, 'Shape', 'tensor_shape'), (8, '*bytes', 'string_val'))
message('Shape', (2, '*Dim', 'dim'))
message('Dim', (1, 'int64', 'size'))
message('Metadata', (1, 'PluginData', 'plugin_data'))
message('PluginData', (1, 'string', 'plugin_name'), (2, 'bytes', 'content'))
message('Hparams', (1, 'int32', 'version'), (3, 'SessionStart', 'session_start_info'), (4, 'SessionEnd', 'session_end_info'))
start = message('SessionStart', (1, '*SessionStart.HparamsEntry', 'hparams'), (4, 'string', 'group_name'),
                (5, 'double', 'start_time_secs'))
entry = start.nested_type.add(name='HparamsEntry')
entry.options.map_entry = True
entry.field.add(name='key', number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
entry.field.add(name='value', number=2, type=F.TYPE_MESSAGE, type_name='.google.protobuf.Value', label=F.LABEL_OPTIONAL)
message('SessionEnd', (1, 'int32', 'status'), (2, 'double', 'end_time_secs'))

pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
pool.Add(file)


def kind(name):
    found = pool.FindMessageTypeByName('t.' + name)
    make = getattr(message_factory, 'GetMessageClass', None)
    return make(found) if make else message_factory.MessageFactory(pool).GetPrototype(found)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def plain(value):
    return json_format.MessageToDict(value, preserving_proto_field_name=True)


for path in sys.argv[1:]:
    data = open(path, 'rb').read()
    at = 0
    while at < len(data):
        length, check = struct.unpack_from('<QI', data, at)
        assert check == masked_crc(data[at:at + 8]), 'the checksum of a length is wrong'
        body = data[at + 12:at + 12 + length]
        assert struct.unpack_from('<I', data, at + 12 + length)[0] == masked_crc(body), 'a checksum is wrong'
        event = kind('Event').FromString(body)
        assert event.SerializeToString(deterministic=True) and not event.FindInitializationErrors()
        line = plain(event)
        for value, written in zip(event.summary.value, line.get('summary', {}).get('value', [])):
            if value.metadata.plugin_data.plugin_name == 'hparams':
                written['hparams'] = plain(kind('Hparams').FromString(value.metadata.plugin_data.content))
        print(json.dumps(line))
        at += length + 16
