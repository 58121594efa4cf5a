import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.util.*;
import java.util.concurrent.*;

/** usage: Net.java KIND server PORT | KIND client HOST PORT; KIND: blocking, nio, objects, datagrams. */
public class Net {
    static final int MANY = 16;

    record Message(int number, String text, List<Integer> list) implements Serializable {}

    public static void main(String[] args) throws Exception {
        String what = args[0] + " " + args[1];
        switch (what) {
            case "blocking server" -> serve(Integer.parseInt(args[2]), Net::echo);
            case "objects server" -> serve(Integer.parseInt(args[2]), Net::echoObjects);
            case "nio server" -> nioServer(Integer.parseInt(args[2]));
            case "datagrams server" -> datagramServer(Integer.parseInt(args[2]));
            case "blocking client" -> together(args, Net::blockingClient);
            case "objects client" -> together(args, Net::objectsClient);
            case "nio client" -> nioClient(args[2], Integer.parseInt(args[3]));
            case "datagrams client" -> datagramClient(args[2], Integer.parseInt(args[3]));
            default -> throw new IllegalArgumentException(what);
        }
        System.exit(0);
    }

    interface Talk { void with(Socket socket, int index) throws Exception; }

    static void serve(int port, Talk talk) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        try (ServerSocket listening = new ServerSocket(port, 64)) {
            while (true) {
                Socket socket = listening.accept();
                threads.submit(() -> { try (socket) { talk.with(socket, 0); } return null; });
            }
        }
    }

    static void together(String[] args, Talk talk) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(MANY);
        List<Future<Object>> all = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            int index = i;
            all.add(threads.submit(() -> {
                try (Socket socket = new Socket(args[2], Integer.parseInt(args[3]))) {
                    socket.setTcpNoDelay(true);
                    socket.setSoTimeout(30000);
                    talk.with(socket, index);
                }
                return null;
            }));
        }
        for (Future<Object> one : all) one.get(60, TimeUnit.SECONDS);
    }

    static void echo(Socket socket, int index) throws Exception {
        socket.getInputStream().transferTo(socket.getOutputStream());
        socket.shutdownOutput();
    }

    static byte[] bytes(int index) {
        byte[] data = new byte[1000 + 30000 * index];
        for (int i = 0; i < data.length; i++) data[i] = (byte) ((i + index) % 251);
        return data;
    }

    static void blockingClient(Socket socket, int index) throws Exception {
        byte[] sent = bytes(index);
        Thread sender = new Thread(() -> {
            try { socket.getOutputStream().write(sent); socket.shutdownOutput(); }
            catch (IOException e) { throw new UncheckedIOException(e); }
        });
        sender.start();
        if (!Arrays.equals(socket.getInputStream().readAllBytes(), sent)) throw new IOException("stream differs");
        sender.join();
    }

    static void echoObjects(Socket socket, int index) throws Exception {
        ObjectOutputStream out = new ObjectOutputStream(socket.getOutputStream());
        ObjectInputStream in = new ObjectInputStream(socket.getInputStream());
        for (int i = 0; i < 100; i++) {
            out.writeObject(in.readObject());
            out.flush();
        }
    }

    static void objectsClient(Socket socket, int index) throws Exception {
        ObjectOutputStream out = new ObjectOutputStream(socket.getOutputStream());
        ObjectInputStream in = new ObjectInputStream(socket.getInputStream());
        for (int i = 0; i < 100; i++) {
            Message sent = new Message(i, "x".repeat(i * index), List.of(1, 2, i));
            out.writeObject(sent);
            out.flush();
            if (!sent.equals(in.readObject())) throw new IOException("object differs");
        }
    }

    static void nioServer(int port) throws Exception {
        Selector selector = Selector.open();
        ServerSocketChannel listening = ServerSocketChannel.open().bind(new InetSocketAddress(port), 64);
        listening.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel fresh = listening.accept();
                    fresh.configureBlocking(false).register(selector, SelectionKey.OP_READ, ByteBuffer.allocateDirect(65536));
                    continue;
                }
                SocketChannel channel = (SocketChannel) key.channel();
                ByteBuffer room = (ByteBuffer) key.attachment();
                int read = room.hasRemaining() ? channel.read(room) : 0;
                room.flip();
                channel.write(room);
                room.compact();
                if (read < 0 && room.position() == 0) { channel.close(); continue; }
                boolean writes = room.position() > 0;
                key.interestOps((room.hasRemaining() && read >= 0 ? SelectionKey.OP_READ : 0) | (writes ? SelectionKey.OP_WRITE : 0));
            }
            selector.selectedKeys().clear();
        }
    }

    static void nioClient(String host, int port) throws Exception {
        Selector selector = Selector.open();
        Map<SocketChannel, byte[]> wanted = new HashMap<>();
        Map<SocketChannel, ByteArrayOutputStream> got = new HashMap<>();
        for (int i = 0; i < MANY; i++) {
            SocketChannel channel = SocketChannel.open();
            channel.configureBlocking(false);
            channel.connect(new InetSocketAddress(host, port));
            wanted.put(channel, bytes(i));
            got.put(channel, new ByteArrayOutputStream());
            channel.register(selector, SelectionKey.OP_CONNECT, ByteBuffer.wrap(wanted.get(channel)));
        }
        ByteBuffer room = ByteBuffer.allocate(65536);
        for (int open = MANY; open > 0; ) {
            if (selector.select(30000) == 0) throw new IOException("nothing for 30 s");
            for (SelectionKey key : selector.selectedKeys()) {
                SocketChannel channel = (SocketChannel) key.channel();
                ByteBuffer left = (ByteBuffer) key.attachment();
                if (key.isConnectable()) {
                    channel.finishConnect();
                    key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
                } else if (key.isWritable()) {
                    channel.write(left);
                    if (!left.hasRemaining()) { channel.shutdownOutput(); key.interestOps(SelectionKey.OP_READ); }
                } else if (key.isReadable()) {
                    room.clear();
                    int read = channel.read(room);
                    if (read > 0) got.get(channel).write(room.array(), 0, read);
                    if (read < 0) { channel.close(); open--; }
                }
            }
            selector.selectedKeys().clear();
        }
        for (SocketChannel channel : wanted.keySet())
            if (!Arrays.equals(got.get(channel).toByteArray(), wanted.get(channel))) throw new IOException("stream differs");
    }

    static void datagramServer(int port) throws Exception {
        try (DatagramSocket socket = new DatagramSocket(port)) {
            DatagramPacket packet = new DatagramPacket(new byte[65536], 65536);
            while (true) {
                packet.setLength(65536);
                socket.receive(packet);
                socket.send(packet);
            }
        }
    }

    static void datagramClient(String host, int port) throws Exception {
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.setSoTimeout(500);
            socket.connect(new InetSocketAddress(host, port));
            for (int turn = 0; turn < 20; turn++) {
                byte[] sent = ("datagram " + turn).getBytes();
                DatagramPacket answer = new DatagramPacket(new byte[100], 100);
                for (int attempt = 0; ; attempt++) {
                    socket.send(new DatagramPacket(sent, sent.length));
                    try { socket.receive(answer); break; }
                    catch (SocketTimeoutException | PortUnreachableException e) { if (attempt == 40) throw e; Thread.sleep(100); }
                }
            }
        }
    }
}
